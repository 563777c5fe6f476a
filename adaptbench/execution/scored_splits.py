"""The splits that a job scores, the ranked one first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from adaptbench.contracts.benchmark import SplitRef
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.profiles import Provenance
from adaptbench.execution.job_context import JobContext
from adaptbench.planning import sources
from adaptbench.records.confusion_files import in_round
from adaptbench.test_time.stream_order import Place, stream_order


@dataclass(frozen=True)
class ScoredSplit:
    """A split that is scored.

    Attributes:
        samples: those that are scored; all of them have a label file.
    """

    ref: SplitRef
    dataset: Dataset
    provenance: Provenance
    samples: Sequence[Sample]


class StreamPlace(NamedTuple):
    """An image of a stream, and where it stands."""

    place: Place
    sample: Sample

    @property
    def name(self) -> str:
        """The image and the round, which is counted from 1."""
        return in_round(self.sample.name, self.place.round + 1)


def scored_splits(context: JobContext) -> list[ScoredSplit]:
    """The splits that exist in this job's data, the ranked one first, those that are scored beside last."""
    also = context.spec.also
    beside = [(SplitRef.parse(text), dataset, also[text]) for text, dataset in context.also.items()]
    return [
        *(_own_split(context, ref) for ref in _own_refs(context)),
        *(_split(context, ref, dataset, source.provenance) for ref, dataset, source in beside),
    ]


def scored_samples(context: JobContext) -> dict[SplitRef, list[Sample]]:
    """All samples of the splits that this job scores, whether their labels are there or not."""
    own = {ref: context.datasets[ref.dataset] for ref in _own_refs(context)}
    beside = {SplitRef.parse(text): dataset for text, dataset in context.also.items()}
    return {ref: dataset.usable(ref.split) for ref, dataset in {**beside, **own}.items()}


def ranked_split(context: JobContext) -> ScoredSplit:
    """The split that is ranked."""
    return _own_split(context, _own_refs(context)[0])


def _own_refs(context: JobContext) -> list[SplitRef]:
    return context.benchmark.scored()


def _own_split(context: JobContext, ref: SplitRef) -> ScoredSplit:
    return _split(context, ref, context.datasets[ref.dataset], context.spec.data[ref.dataset].provenance)


def stream_places(context: JobContext) -> list[StreamPlace]:
    """The stream of the ranked split, all rounds of it."""
    samples, order = ranked_split(context).samples, context.spec.ranking["stream"]
    tags = [sample.tags.get("condition", "") if order["conditions"] else "" for sample in samples]
    places = enumerate(stream_order(Counter(tags), order["rounds"]))
    return [StreamPlace(place, samples[number % len(samples)]) for number, place in places]


def _split(context: JobContext, ref: SplitRef, dataset: Dataset, provenance: Provenance) -> ScoredSplit:
    limit, order = context.spec.limit, context.spec.ranking.get("stream")
    if order is not None and ref == context.benchmark.evaluation[0]:
        samples = sources.stream_samples(dataset, ref.split, order["conditions"], limit)
    else:
        samples = sources.scored_samples(dataset, ref.split, limit)
    return ScoredSplit(ref, dataset, provenance, samples)
