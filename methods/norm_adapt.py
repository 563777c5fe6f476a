"""Norm adaptation: batch norms normalise test images partly by their own statistics (Schneider et al., NeurIPS 2020).

For every image of the stream, or every window of it where the network sees windows:

1. Every batch norm mixes the statistics of the source and those of the image; `adapt_alpha` is the share of the image.
2. The image is predicted with them; no weight changes, and nothing is remembered.

Quirks that are defaults: docs/quirks.md#t11.
"""

from __future__ import annotations

from torch import Tensor, nn

from adaptbench.contracts.stream_method import StreamMethod, settings_with
from adaptbench.networks.inference import Mode, Size, segment
from adaptbench.test_time.decisions import Drawn
from adaptbench.test_time.norm_statistics import MixedSettings, MixedStatistics
from adaptbench.test_time.segmenters import Predicted, Segmenter
from methods.source_only import SourceOnly


class NormAdapt(StreamMethod):
    """Statistics of batch norms come partly from the image itself."""

    name = "norm_adapt"
    title = "Norm adaptation (mixed statistics)"
    paper = "arXiv:2006.16971"
    tags = ("test-time", "normalisation")
    predictions = "after"
    source = SourceOnly
    Adaptation = MixedSettings
    Settings = settings_with(MixedSettings)

    @classmethod
    def start(cls, network: nn.Module, settings: MixedSettings, mode: Mode) -> Segmenter:
        """See the header of this file.

        Raises:
            UsageError: the network has no batch norms.
        """
        return _Mixed(MixedStatistics(network, settings).network, mode)


class _Mixed(Segmenter):
    """Predicts with mixed statistics."""

    def __init__(self, network: nn.Module, mode: Mode) -> None:
        self._network, self._mode = network, mode

    def __call__(self, image: Tensor, size: Size, drawn: Drawn) -> Predicted:
        """With the image's statistics. Shape: ``(1, 3, H, W)`` to train ids ``(*size,)``."""
        return Predicted(segment(self._network, image, self._mode, size))

    def network(self) -> nn.Module:
        """It mixes statistics in every pass."""
        return self._network
