"""The splits that a job scores, the ranked one first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adaptbench.contracts.benchmark import Provenance, SplitRef
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.execution.job_context import Workplace
from adaptbench.planning import sources


@dataclass(frozen=True)
class ScoredSplit:
    """A split that is scored.

    Attributes:
        ref: dataset and split.
        dataset: the dataset, opened.
        provenance: of its pictures.
        samples: those that are scored; all of them have a label file.
    """

    ref: SplitRef
    dataset: Dataset
    provenance: Provenance
    samples: Sequence[Sample]


def scored_splits(place: Workplace) -> list[ScoredSplit]:
    """The splits that exist in this job's data, the ranked one first; those that are scored beside come last.

    Raises:
        DataError: labels are missing (says how many).
    """
    also = place.spec.also
    beside = [(SplitRef.parse(text), dataset, also[text]) for text, dataset in place.also.items()]
    return [
        *(_own_split(place, ref) for ref in _own_refs(place)),
        *(_split(place, ref, dataset, source.provenance) for ref, dataset, source in beside),
    ]


def ranked_split(place: Workplace) -> ScoredSplit:
    """The split that is ranked.

    Raises:
        DataError: labels are missing (says how many).
    """
    return _own_split(place, _own_refs(place)[0])


def _own_refs(place: Workplace) -> list[SplitRef]:
    """What the benchmark scores, as far as it exists in this job's data."""
    return [
        ref
        for ref in place.benchmark.evaluation
        if not ref.generated_only or place.spec.data[ref.dataset].provenance == "generated"
    ]


def _own_split(place: Workplace, ref: SplitRef) -> ScoredSplit:
    return _split(place, ref, place.datasets[ref.dataset], place.spec.data[ref.dataset].provenance)


def _split(place: Workplace, ref: SplitRef, dataset: Dataset, provenance: Provenance) -> ScoredSplit:
    samples = dataset.usable(ref.split)
    samples = samples[: sources.scored_cap(len(samples), place.spec.limit)]
    sources.require_labels(dataset, ref.split, samples)
    return ScoredSplit(ref, dataset, provenance, samples)
