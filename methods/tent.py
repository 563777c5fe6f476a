"""TENT: fully test-time adaptation by entropy minimization (Wang et al., ICLR 2021), in its form for segmentation.

For every image of the stream:

1. Unless told otherwise, the network goes back to what the source has taught it (`adapt_episodic`).
2. Two random crops are cut out of the image; their batch norms normalise by the crops alone.
3. Weights and biases of batch norms take a step that lowers the entropy of the predictions.
4. The whole image is predicted, after the step.

Published for segmentation: DeepLab-v2 on CARLA with crops of 1024x512 of images whose shorter side is 1024. The test
images of our streams are half as large (ACDC 960x540, CamVid 960x720), and so are the crops here. Quirks that are
defaults: docs/quirks.md#t1 to #t7.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim import Optimizer

from adaptbench.contracts.stream_method import StreamMethod, settings_with
from adaptbench.networks.inference import Mode, Size, segment
from adaptbench.test_time.decisions import Drawn
from adaptbench.test_time.segmenters import (
    Predicted,
    Segmenter,
    require_inside,
    require_taken,
    without_styles,
)
from adaptbench.test_time.tent import CropTent, TentSettings
from methods.source_only import SourceOnly


class Tent(StreamMethod):
    """Batch norms learn to be certain of two crops of every image."""

    name = "tent"
    title = "TENT (form for segmentation)"
    paper = "arXiv:2006.10726"
    tags = ("test-time", "entropy")
    predictions = "after"
    source = SourceOnly
    Adaptation = TentSettings
    Settings = settings_with(TentSettings, crop_height=256, crop_width=512)

    @classmethod
    def start(cls, network: nn.Module, settings: TentSettings, mode: Mode) -> Segmenter:
        """See the header of this file.

        Raises:
            UsageError: the network has no batch norms, or takes no crops of this size.
        """
        require_taken(network, (settings.crop_height, settings.crop_width), "Choose larger crops.")
        without_styles(network)
        return _Learning(CropTent(network, settings), mode)

    @classmethod
    def require_fitting(cls, network: nn.Module, settings: TentSettings, image: Size) -> None:
        """Crops must fit into the images, too."""
        super().require_fitting(network, settings, image)
        require_inside(cls.name, (settings.crop_height, settings.crop_width), image)


class _Learning(Segmenter):
    """Learns from an image, then predicts it."""

    def __init__(self, tent: CropTent, mode: Mode) -> None:
        self._tent, self._mode = tent, mode

    def __call__(self, image: Tensor, size: Size, drawn: Drawn) -> Predicted:
        """After the step. Shape: ``(1, 3, H, W)`` to train ids ``(*size,)``."""
        updates = self._tent.learn(image, drawn)
        return Predicted(segment(self._tent.network, image, self._mode, size), updates[-1].loss)

    def network(self) -> nn.Module:
        """As it is; where every image starts anew, as it was at the start."""
        if self._tent.settings.episodic:
            self._tent.restart()
        return self._tent.network

    def parts(self) -> Mapping[str, nn.Module | Optimizer]:
        """The network and its optimiser."""
        return {"network": self._tent.network, "optimizer": self._tent.optimizer}
