"""CoTTA: continual test-time domain adaptation (Wang et al., CVPR 2022), in its form for Cityscapes to ACDC.

For every image of the stream:

1. The teacher predicts 14 views of the image, seven sizes each plain and mirrored.
2. Where the source network is sure, the label is the teacher's of the plain view; elsewhere that of the mean of all.
3. This label is the prediction, made before the step.
4. The student learns it, the teacher follows, and some values of the student go back to the source's.

When a condition begins, the optimiser is made anew; networks go on. Views are resized from the image as the network
sees it, where the published code resizes the file. Quirks that are defaults: docs/quirks.md#t15 to #t25.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adaptbench.contracts.stream_method import StreamMethod, settings_with
from adaptbench.networks.inference import Mode, Size, resize
from adaptbench.test_time.decisions import Drawn
from adaptbench.test_time.segmenters import Predicted, Segmenter, let_learn, require_taken
from adaptbench.test_time.view_cotta import ViewCotta, ViewCottaSettings, plain_and_mirrored
from methods.source_only import SourceOnly

_ADVICE = "Choose a network or a profile with larger images."


class CoTTA(StreamMethod):
    """A student learns its teacher's labels of many views, and is pulled back to the source."""

    name = "cotta"
    title = "CoTTA (form for ACDC)"
    paper = "arXiv:2203.13591"
    tags = ("test-time", "self-training")
    predictions = "before"
    source = SourceOnly
    Adaptation = ViewCottaSettings
    Settings = settings_with(ViewCottaSettings)

    @classmethod
    def start(cls, network: nn.Module, settings: ViewCottaSettings, mode: Mode) -> Segmenter:
        """See the header of this file."""
        let_learn(network)
        return _Labelling(ViewCotta(network, settings, mode))

    @classmethod
    def require_fitting(cls, network: nn.Module, settings: ViewCottaSettings, image: Size) -> None:
        """The network must take the images as they are, too."""
        super().require_fitting(network, settings, image)
        require_taken(network, image, _ADVICE)


class _Labelling(Segmenter):
    """Labels an image, and then learns the label."""

    def __init__(self, cotta: ViewCotta) -> None:
        self._cotta = cotta

    def __call__(self, image: Tensor, size: Size, drawn: Drawn) -> Predicted:
        """Before the step. Shape: ``(1, 3, H, W)`` to train ids ``(*size,)``."""
        height, width = image.shape[-2:]
        require_taken(self._cotta.trio.student, (height, width), _ADVICE)
        scaled = [(int(height * ratio), int(width * ratio)) for ratio in self._cotta.settings.ratios]
        views = plain_and_mirrored([resize(image, one) for one in scaled])
        label, updates = self._cotta(views, size, drawn)
        return Predicted(label.to(torch.uint8), updates[-1].loss)

    def begin_condition(self) -> None:
        """The optimiser is made anew."""
        self._cotta.renew()

    def network(self) -> nn.Module:
        """The teacher."""
        return self._cotta.trio.teacher

    def parts(self) -> Mapping[str, nn.Module | Optimizer]:
        """Student, teacher and optimiser; the source network is that of the start."""
        trio = self._cotta.trio
        return {"student": trio.student, "teacher": trio.teacher, "optimizer": self._cotta.optimizer}
