"""Checkpoints that adapt to the images they are scored on, in the order of the split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.data import firewall
from adaptbench.evaluation.scorer import Scorer, Tell
from adaptbench.execution.given.adapting import Adaptation
from adaptbench.networks.inference import Size
from adaptbench.records.confusion_files import PerImageConfusion
from adaptbench.test_time.segmenters import Stream


@dataclass(frozen=True, kw_only=True)
class StreamScorer(Scorer):
    """Counts predictions of a network that adapts; every split is a stream of its own.

    The network sees images alone, each before its prediction is compared with anything.
    """

    adaptation: Adaptation
    _stream: list[Stream] = field(default_factory=list, init=False)

    def confusion(self, dataset: Dataset, samples: Sequence[Sample], tell: Tell) -> PerImageConfusion:
        """As for any network; begins with the network as it was trained."""
        with firewall.closed(self.label_folders):
            self._stream[:] = [self.adaptation.started(self.network, self.method.inference())]
        return super().confusion(dataset, samples, tell)

    def _segmented(self, network: nn.Module, pixels: Tensor, size: Size) -> Tensor:
        return self._stream[0].segment(pixels, size).train_ids
