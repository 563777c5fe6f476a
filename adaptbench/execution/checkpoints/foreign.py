"""Networks of anybody, as their network files state them, and how they are scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptbench.contracts.benchmark import Protocol
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.profiles import Profile
from adaptbench.data.taxonomy import class_set
from adaptbench.evaluation.confusion import confusion_with_void
from adaptbench.evaluation.scorer import Tell, read_labelled, reduced
from adaptbench.evaluation.sizes import scored_size
from adaptbench.execution.checkpoints.scored import Author, Scored
from adaptbench.execution.given import sealed_network
from adaptbench.execution.given.adapting import Adaptation
from adaptbench.execution.given.loaded_network import NetworkPlace, file_sha256
from adaptbench.execution.given.sealed_network import SealedNetwork
from adaptbench.records.checkpoint_scores import Origin
from adaptbench.records.confusion_files import PerImageConfusion

#: In the place of a method's name.
NAME = "network-file"
#: Raised when scores of network files may change.
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Foreign(Scored):
    """A network of a network file, in its sealed process."""

    sealed: SealedNetwork

    @property
    def author(self) -> Author:
        """The file and its function."""
        place = self.sealed.place
        title = f"{place.function} of {place.file.name}"
        return Author(NAME, _VERSION, title, self.sealed.facts["stated"]["paper"])

    @property
    def stated(self) -> dict[str, Any]:
        """What the file states, and which file it was."""
        place = self.sealed.place
        return {
            **self.sealed.facts["stated"],
            "file": place.file.name,
            "file_sha256": file_sha256(place.file),
            "function": place.function,
        }


@contextmanager
def opened(
    place: NetworkPlace,
    device: str,
    chosen: Profile,
    closed: Sequence[Path],
    adaptation: Adaptation | None = None,
) -> Iterator[Foreign]:
    """The network of ``place``, whose code cannot open what is ``closed``.

    Raises:
        AdaptBenchError: it does not keep the contract; see `adaptbench.execution.given.loaded_network.load`.
    """
    digest = file_sha256(place.weights)
    with sealed_network.opened(place, device, chosen.threads, closed, adaptation) as sealed:
        yield Foreign(
            name=f"{place.name}-{digest[:8]}",
            origin=Origin(kind="file", weights="all", source=place.weights.name, source_sha256=digest),
            network=sealed.facts["network"],
            pretraining="not stated",
            class_set=sealed.facts["stated"]["class_set"],
            profile=chosen,
            overrides={},
            weights_sha256=sealed.facts["weights_sha256"],
            sealed=sealed,
        )


@dataclass(frozen=True)
class ForeignScorer:
    """Counts what such a network predicts, by the rules of a protocol."""

    foreign: Foreign
    rules: Protocol

    @property
    def parameters(self) -> int:
        """Of the network, counted."""
        return int(self.foreign.sealed.facts["parameters"])

    def confusion(self, dataset: Dataset, samples: Sequence[Sample], tell: Tell) -> PerImageConfusion:
        """One confusion matrix per sample, with a row and a column for void.

        Raises:
            DataError: there is no sample, or an image or label cannot be used.
            AdaptBenchError: as `adaptbench.execution.given.sealed_network.SealedNetwork.predict` says.
        """
        classes, matrices = class_set(self.foreign.class_set), {}
        label_size = scored_size(self.rules.label_size, self.foreign.profile)
        for number, sample in enumerate(samples):
            image, truth = read_labelled(dataset, sample, classes)
            truth = reduced(truth, label_size)
            prediction = self.foreign.sealed.predict(image, (truth.shape[0], truth.shape[1]), number)
            matrices[sample.name] = confusion_with_void(truth, prediction, len(classes), self.rules.ignore)
            tell(sample, number, prediction)
        return PerImageConfusion.collect(matrices, [sample.tags for sample in samples])
