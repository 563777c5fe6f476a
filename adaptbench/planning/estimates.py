"""What jobs will cost, as far as finished ones tell: medians of records, or else of the committed boards."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypeAlias

from adaptbench.contracts.plugins import ROOT
from adaptbench.contracts.precision import FLOAT32
from adaptbench.contracts.settings import stated_iterations
from adaptbench.records.found import scan_records
from adaptbench.records.jobspec import JobSpec, State
from adaptbench.records.record import Record

if TYPE_CHECKING:
    from adaptbench.planning.plan import Job

#: Where `report --publish` writes a folder per collection, with what every method took on the maintainers' machine.
RESULTS = ROOT / "results"

#: Settings that cost nothing, whatever they are.
_FREE = frozenset({"pretraining", "warmup"})
#: Ends of the names of real numbers that are sizes of images.
_SIZES = ("resolution", "scale", "scales")


@dataclass(frozen=True)
class Estimate:
    """What a job will probably cost from its beginning.

    Attributes:
        seconds: of all its trainings, and of scoring.
        memory_mib: peak of its trainings.
        elsewhere: whether it comes from the committed board, which was made on another machine.
    """

    seconds: float
    memory_mib: float
    elsewhere: bool = False


#: Estimates of the jobs that are to do, by folder; None = nothing is known.
Costs: TypeAlias = "Mapping[Path, Estimate | None]"


@dataclass(frozen=True)
class Total:
    """What all jobs that are to do will probably cost together.

    Attributes:
        jobs: how many there are.
        unknown: how many of them have no estimate.
        elsewhere: how many estimates come from the committed board, which was made on another machine.
        in_a_row: seconds of those with an estimate, one after the other.
        at_once: seconds of the same with several at once.
    """

    jobs: int
    unknown: int
    elsewhere: int
    in_a_row: float
    at_once: float


def expected_costs(jobs: Iterable[Job], out: Path, results: Path = RESULTS) -> Costs:
    """Estimates of the jobs that are neither done nor skipped, from finished runs in ``out`` or else from boards."""
    waiting = [job for job in jobs if job.state not in (State.DONE, State.SKIPPED)]
    known = Estimates(scan_records(out).records if waiting else ())
    published = BoardEstimates(committed_rows(results) if waiting else ())
    return {job.folder: known.of(job.spec) or published.of(job) for job in waiting}


def total(costs: Costs, at_once: int = 1) -> Total:
    """The sum of estimates, with up to ``at_once`` jobs at the same time."""
    known = [cost for cost in costs.values() if cost is not None]
    seconds = [cost.seconds for cost in known]
    together = max(max(seconds), sum(seconds) / at_once) if seconds else 0.0
    elsewhere = sum(cost.elsewhere for cost in known)
    return Total(len(costs), len(costs) - len(known), elsewhere, sum(seconds), together)


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
    profile, device, precision, compilation, parts of a step and settings that decide the cost, on the same benchmark,
    or else on any. Training time is in proportion to the iterations. Records of others are left out, since they come
    from other machines.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._finished: dict[Hashable, list[_Finished]] = defaultdict(list)
        for record in records:
            if record.origin == "maintainer" and record.cost.devices == 1:
                cost, iterations = record.cost, iterations_of(record.settings)
                seconds = cost.training_seconds, cost.evaluation_seconds
                for key in _record_keys(record):
                    self._finished[key].append(_Finished(iterations, *seconds, cost.peak_memory_mib))

    def of(self, spec: JobSpec) -> Estimate | None:
        """The estimate for a job; None if no finished one is like it.

        None, too, if it recomputes activations, as records do not say whether theirs did, or is trained on several
        devices.
        """
        if spec.activation_checkpointing or spec.devices > 1 or not self._finished:
            return None
        return _estimate(self._finished, _job_keys(spec), iterations_of(spec.settings))


class BoardEstimates:
    """Estimates from the rows of a committed board, for those who have no finished run yet.

    A row counts if it has the method, network, profile, device, precision and parts of a step of the job, is compiled
    if the job is, and nothing is set in it that decides the cost; rows of the same benchmark go before others. Training
    time is in proportion to the iterations.
    """

    def __init__(self, rows: Iterable[Mapping[str, str]]) -> None:
        self._finished: dict[Hashable, list[_Finished]] = defaultdict(list)
        for row in rows:
            overrides = [part.split("=")[0] for part in row["overrides"].split(", ") if part]
            if row["ranked_split"] == "True" and _usual(overrides):
                work = (
                    row["method"],
                    row["network"],
                    row["profile"],
                    row["device"],
                    row.get("precision") or FLOAT32,
                    bool(row.get("compiled")),
                    int(row.get("accumulate") or 1),
                )
                seconds = float(row["training_seconds"]), float(row["evaluation_seconds"])
                done = _Finished(int(row["iterations"]), *seconds, float(row["peak_memory_mib"]))
                for key in (row["benchmark"], work), work:
                    self._finished[key].append(done)

    def of(self, job: Job) -> Estimate | None:
        """The estimate for a job; None if no row is like it, or the job is scored in another way."""
        spec = job.spec
        scored = (spec.ranking["checkpoint"], spec.ranking["test_time_augmentation"])
        if spec.activation_checkpointing or spec.limit is not None or scored != ("last", "none"):
            return None
        if spec.devices > 1 or not _usual(spec.overrides):
            return None
        work = (
            spec.method,
            spec.settings["network"],
            spec.profile,
            spec.device,
            spec.precision,
            spec.compiled,
            spec.accumulate,
        )
        found = _estimate(self._finished, [(spec.board, work), work], sum(job.iterations))
        return None if found is None else replace(found, elsewhere=True)


def committed_boards(results: Path = RESULTS) -> list[Path]:
    """The boards that the repository shows, one per collection; none where the package lies without them."""
    return sorted(results.glob("*/leaderboard.csv"))


def committed_rows(results: Path = RESULTS) -> list[dict[str, str]]:
    """The rows of all of them, each with the name of its ``collection``."""
    boards = committed_boards(results)
    return [{**row, "collection": board.parent.name} for board in boards for row in board_rows(board)]


def board_rows(board: Path) -> list[dict[str, str]]:
    """Rows of a board; none where there is no such file."""
    if not board.exists():
        return []
    with board.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _usual(overrides: Iterable[str]) -> bool:
    """Whether settings of these names leave the cost per iteration as it is; the network is compared apart."""
    return all(_is_free(key) or key == "network" or key.startswith("minicity.") for key in overrides)


def iterations_of(settings: Mapping[str, Any]) -> int:
    """Training iterations of all stages whose number is a setting."""
    return sum(stated_iterations(settings).values())


def _estimate(
    finished: Mapping[Hashable, Sequence[_Finished]], keys: Iterable[Hashable], iterations: int
) -> Estimate | None:
    """From the finished jobs under the first of ``keys`` that there is."""
    alike = next((finished[key] for key in keys if key in finished), [])
    comparable = [job for job in alike if job.iterations or not iterations]
    if not comparable:
        return None
    return Estimate(
        seconds=median(_seconds(job, iterations) for job in comparable),
        memory_mib=median(job.memory_mib for job in comparable),
    )


def _seconds(job: _Finished, iterations: int) -> float:
    share = iterations / job.iterations if job.iterations else 1.0
    return job.training_seconds * share + job.evaluation_seconds


def _record_keys(record: Record) -> list[Hashable]:
    """What equal jobs have in common, the most alike ones first."""
    provenances = frozenset(facts.get("provenance") for facts in record.data.values())
    device = record.cost.device, record.precision, record.compilation is not None, record.accumulate
    work = (record.method, record.network.name, record.profile, *device, provenances)
    whole = (*work, _rules(record.ranking), _sizes(record.settings))
    return [("group", record.group_hash), (record.benchmark, whole), whole]


def _job_keys(spec: JobSpec) -> list[Hashable]:
    """The same of a job that is to do."""
    provenances = frozenset(source.provenance for source in (*spec.data.values(), *spec.also.values()))
    device = spec.device, spec.precision, spec.compiled, spec.accumulate
    work = (spec.method, spec.settings["network"], spec.profile, *device, provenances)
    whole = (*work, _rules(spec.ranking), _sizes(spec.settings))
    return [("group", spec.group_hash), (spec.board, whole), whole]


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
