"""CoTTA: continual test-time domain adaptation (Wang et al., CVPR 2022), in its form for segmentation, on two crops.

For every image of the stream:

1. Two random crops are cut out of the image; all networks are in training mode, with the statistics of the crops.
2. Where the source network is unsure of them, the target is the mean of seven logits of the teacher, of six sizes, some
   mirrored, and of the plain crops; elsewhere the teacher's logits of the plain crops.
3. The student takes a step towards it, the teacher follows, and some values of the student go back to the source's.
4. The teacher predicts the whole image, after the step.

Published for DeepLab-v2 on CARLA with crops of 1024x512 of images whose shorter side is 1024. The test images of our
streams are half as large, and so are the crops here. Quirks that are defaults: docs/quirks.md#t15 to #t26.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim import Optimizer

from adaptbench.contracts.stream_method import StreamMethod, settings_with
from adaptbench.networks.inference import Mode, Size, segment
from adaptbench.test_time.crop_cotta import CropCotta, CropCottaSettings
from adaptbench.test_time.decisions import Drawn
from adaptbench.test_time.norm_statistics import remove_statistics
from adaptbench.test_time.segmenters import (
    Predicted,
    Segmenter,
    let_learn,
    require_inside,
    require_taken,
    without_styles,
)
from methods.source_only import SourceOnly


class CoTTACrops(StreamMethod):
    """A student learns its teacher's probabilities of two crops, and is pulled back to the source."""

    name = "cotta_crops"
    title = "CoTTA (form for segmentation, crops)"
    paper = "arXiv:2203.13591"
    tags = ("test-time", "self-training")
    predictions = "after"
    source = SourceOnly
    Adaptation = CropCottaSettings
    Settings = settings_with(CropCottaSettings, crop_height=256, crop_width=512)

    @classmethod
    def start(cls, network: nn.Module, settings: CropCottaSettings, mode: Mode) -> Segmenter:
        """See the header of this file.

        Raises:
            UsageError: the network takes no views of the crops.
        """
        crop = (settings.crop_height, settings.crop_width)
        for scale in settings.scales:
            height, width = (int(scale * 0.5 * side) for side in crop)
            require_taken(network, (height, width), "Choose larger crops or scales.")
        require_taken(network, crop, "Choose larger crops.")
        without_styles(network)
        let_learn(network)
        return _Learning(CropCotta(network, settings), mode)

    @classmethod
    def require_fitting(cls, network: nn.Module, settings: CropCottaSettings, image: Size) -> None:
        """Crops must fit into the images, too."""
        super().require_fitting(network, settings, image)
        require_inside(cls.name, (settings.crop_height, settings.crop_width), image)


class _Learning(Segmenter):
    """Learns from an image, then lets the teacher predict it."""

    def __init__(self, cotta: CropCotta, mode: Mode) -> None:
        self._cotta, self._mode = cotta, mode

    def __call__(self, image: Tensor, size: Size, drawn: Drawn) -> Predicted:
        """After the step. Shape: ``(1, 3, H, W)`` to train ids ``(*size,)``."""
        updates = self._cotta.learn(image, drawn)
        return Predicted(segment(self._cotta.trio.teacher, image, self._mode, size), updates[-1].loss)

    def network(self) -> nn.Module:
        """The teacher, whose batch norms normalise by the image alone; where every image starts anew, as at the start.

        It is a copy, without the running statistics that drift and are never used (docs/quirks.md#t23).
        """
        if self._cotta.settings.episodic:
            self._cotta.restart()
        teacher = copy.deepcopy(self._cotta.trio.teacher)
        remove_statistics(teacher)
        return teacher

    def parts(self) -> Mapping[str, nn.Module | Optimizer]:
        """Student, teacher and optimiser; the source network is that of the start."""
        trio = self._cotta.trio
        return {"student": trio.student, "teacher": trio.teacher, "optimizer": self._cotta.optimizer}
