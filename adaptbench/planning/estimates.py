"""What jobs will cost, as far as finished ones tell: medians of records. No file, no clock."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from adaptbench.records.jobspec import JobSpec
from adaptbench.records.record import Record

#: Settings that cost nothing, whatever they are.
_FREE = frozenset({"pretraining", "warmup"})
#: Ends of the names of real numbers that are sizes of pictures.
_SIZES = ("resolution", "scale", "scales")


@dataclass(frozen=True)
class Estimate:
    """What a job will probably cost from its beginning.

    Attributes:
        seconds: of all its trainings, and of scoring.
        memory_mib: peak of its trainings.
    """

    seconds: float
    memory_mib: float


@dataclass(frozen=True)
class _Finished:
    """A finished job: its cost, and the iterations behind it."""

    iterations: int
    training_seconds: float
    evaluation_seconds: float
    memory_mib: float


class Estimates:
    """Estimates from finished jobs of one results folder.

    The best basis that there is counts: jobs that differ by the seed alone; then those of the same method, network,
    profile, device and settings that decide the cost, on the same benchmark, or else on any. Training time is in
    proportion to the iterations. Records of others are left out, since they come from other machines.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._finished: dict[Hashable, list[_Finished]] = defaultdict(list)
        for record in records:
            if record.origin == "maintainer":
                for key in _record_keys(record):
                    self._finished[key].append(_finished(record))

    def of(self, spec: JobSpec) -> Estimate | None:
        """The estimate for a job; None if no finished one is like it.

        None, too, if it recomputes activations: records do not say whether theirs did.
        """
        if spec.activation_checkpointing or not self._finished:
            return None
        known = (self._finished[key] for key in _job_keys(spec) if key in self._finished)
        return _estimate(iterations_of(spec.settings), next(known, []))


def iterations_of(settings: Mapping[str, Any]) -> int:
    """Training iterations of all stages whose number is a setting."""
    counted = [key for key in settings if key.endswith("iterations") and "schedule" not in key]
    return sum(settings[key] or 0 for key in counted)  # none: as many as of another stage


def _estimate(iterations: int, finished: Sequence[_Finished]) -> Estimate | None:
    comparable = [job for job in finished if job.iterations or not iterations]
    if not comparable:
        return None
    return Estimate(
        seconds=median(_seconds(job, iterations) for job in comparable),
        memory_mib=median(job.memory_mib for job in comparable),
    )


def _seconds(job: _Finished, iterations: int) -> float:
    share = iterations / job.iterations if job.iterations else 1.0
    return job.training_seconds * share + job.evaluation_seconds


def _finished(record: Record) -> _Finished:
    cost = record.cost
    return _Finished(
        iterations_of(record.settings), cost.training_seconds, cost.evaluation_seconds, cost.peak_memory_mib
    )


def _record_keys(record: Record) -> list[Hashable]:
    provenances = frozenset(facts.get("provenance") for facts in record.data.values())
    work = (record.method, record.network.name, record.profile, record.cost.device, provenances)
    return _keys(
        record.group_hash, record.benchmark, (*work, _rules(record.ranking), _sizes(record.settings))
    )


def _job_keys(spec: JobSpec) -> list[Hashable]:
    provenances = frozenset(source.provenance for source in (*spec.data.values(), *spec.also.values()))
    work = (spec.method, spec.settings["network"], spec.profile, spec.device, provenances)
    return _keys(spec.group_hash, spec.board, (*work, _rules(spec.ranking), _sizes(spec.settings)))


def _keys(group: str, benchmark: str, work: Hashable) -> list[Hashable]:
    """What equal jobs have in common, the most alike ones first."""
    return [("group", group), (benchmark, work), work]


def _rules(ranking: Mapping[str, Any]) -> Hashable:
    """What of a protocol decides the cost of scoring."""
    return ranking.get("limit"), ranking.get("test_time_augmentation")


def _sizes(settings: Mapping[str, Any]) -> str:
    """The settings that decide how much there is to do, as text.

    Iterations are left out, and of real numbers that are no sizes (rates, weights, thresholds) all but whether they
    are 0, which switches a part of a method off.
    """
    kept = {key: content for key, content in settings.items() if not _is_free(key)}
    sizes = {key: value if key.endswith(_SIZES) else _switches(value) for key, value in kept.items()}
    return json.dumps(sizes, sort_keys=True, default=str)


def _is_free(key: str) -> bool:
    return key in _FREE or key.endswith("iterations")


def _switches(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_switches(item) for item in value]
    return value != 0 if isinstance(value, float) else value
