"""The baseline called TENT in the results of CoTTA on ACDC: norms learn the network's own labels.

For every image of the stream:

1. The network predicts the image, in evaluation mode, with the statistics of the source.
2. Weights and biases of its norms, layer norms among them, take a step of Adam towards these labels.
3. The labels of 1 are the prediction, made before the step.

When a condition begins, the optimiser is made anew; the network goes on. It minimises no entropy: docs/quirks.md#t8.
Published for SegFormer-B5 on Cityscapes to ACDC with images of 960x540.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim import Optimizer

from adaptbench.contracts.stream_method import StreamMethod, settings_with
from adaptbench.networks.inference import Mode, Size
from adaptbench.test_time.decisions import Drawn
from adaptbench.test_time.hard_tent import HardTent, HardTentSettings
from adaptbench.test_time.segmenters import Predicted, Segmenter, let_learn, require_taken
from methods.source_only import SourceOnly


class TentHard(StreamMethod):
    """Norms learn the labels that the network itself predicts."""

    name = "tent_hard"
    title = "TENT (form for ACDC, hard labels)"
    paper = "arXiv:2203.13591"
    tags = ("test-time", "self-training")
    predictions = "before"
    source = SourceOnly
    Adaptation = HardTentSettings
    Settings = settings_with(HardTentSettings)

    @classmethod
    def start(cls, network: nn.Module, settings: HardTentSettings, mode: Mode) -> Segmenter:
        """See the header of this file.

        Raises:
            UsageError: no parameter of the network is named after a norm.
        """
        let_learn(network)
        return _Learning(HardTent(network, settings, mode))

    @classmethod
    def require_fitting(cls, network: nn.Module, settings: HardTentSettings, image: Size) -> None:
        """The network must take the images as they are, too."""
        super().require_fitting(network, settings, image)
        require_taken(network, image, "Choose a network or a profile with larger images.")


class _Learning(Segmenter):
    """Predicts an image, and then learns its own labels."""

    def __init__(self, tent: HardTent) -> None:
        self._tent = tent

    def __call__(self, image: Tensor, size: Size, drawn: Drawn) -> Predicted:
        """Before the step. Shape: ``(1, 3, H, W)`` to train ids ``(*size,)``."""
        label, updates = self._tent(image, size)
        return Predicted(label, updates[-1].loss)

    def begin_condition(self) -> None:
        """The optimiser is made anew."""
        self._tent.renew()

    def network(self) -> nn.Module:
        """As it is."""
        return self._tent.network

    def parts(self) -> Mapping[str, nn.Module | Optimizer]:
        """The network and its optimiser."""
        return {"network": self._tent.network, "optimizer": self._tent.optimizer}
