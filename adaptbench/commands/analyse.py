"""``analyse``: looks into the networks of finished runs; each kind of analysis is a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

from rich.console import Console

from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.errors import UsageError
from adaptbench.evaluation.scorer import Scorer
from adaptbench.execution.job_context import Workplace, open_workplace
from adaptbench.execution.launch.processes import fix_threads
from adaptbench.execution.scored_splits import ranked_split
from adaptbench.execution.stages.planned import PlannedStage, plan_stages
from adaptbench.execution.stages.weights import trained_method
from adaptbench.flags import Analyse
from adaptbench.records.jobspec import job_folder, load_job
from adaptbench.records.record import Record
from adaptbench.records.scan import scan_records
from adaptbench.reporting.analyses.analysis import AnyMeasured

#: Says something to the user, in a style.
Tell: TypeAlias = Callable[[str, str], None]


def execute(command: Analyse) -> int:
    """Makes the analysis asked for, and names the files that it writes."""
    console = Console()

    def tell(text: str, style: str) -> None:
        console.print(text, style=style, soft_wrap=True, highlight=False, markup=False)

    if command.limit is not None and command.limit < 1:
        raise UsageError(f"--limit {command.limit}: give at least 1.")
    records = _chosen(command)
    kind = import_module(f"adaptbench.commands.analyse_{command.what}")
    written: list[Path] = kind.execute(command, records, tell)
    if not written:
        raise UsageError(
            "None of the runs has kept what this looks into: its weights, or for views its matrices."
        )
    for path in written:
        tell(f"Written: {path}", "")
    return 0


def per_board(
    command: Analyse,
    records: Sequence[Record],
    measure: Callable[[Record], Iterable[AnyMeasured]],
    write: Callable[[Sequence[AnyMeasured], Path], list[Path]],
) -> list[Path]:
    """Measures every record, and writes a report of what was measured under each protocol.

    Raises:
        RunStateError: the folder of analyses cannot be written.
    """
    boards: dict[str, list[AnyMeasured]] = {}
    for record in records:
        for measured in measure(record):
            boards.setdefault(record.ranking_hash, []).append(measured)
    return [path for group in boards.values() for path in write(group, command.out / "analyses")]


def open_run(command: Analyse, record: Record) -> Workplace:
    """Everything that the job behind a record names, and the number of threads that it had.

    Raises:
        RunStateError, PluginError, DataError: what it names is gone.
    """
    folder = job_folder(command.out.resolve(), record.benchmark, record.method, record.seed, record.job_hash)
    spec = load_job(folder)
    fix_threads(spec.threads)
    return open_workplace(spec, folder)


def scorer_of(place: Workplace, entry: PlannedStage) -> Scorer:
    """What scores the network that a training has ended with."""
    method = trained_method(place, entry)
    return Scorer(method, entry.stage.settings, place.device, place.closed_folders, lambda: False)


@dataclass(frozen=True)
class Opened:
    """The scored network of a run, and the pictures of the ranked split that it is shown."""

    scorer: Scorer
    split: str
    dataset: Dataset
    samples: Sequence[Sample]
    classes: Sequence[str]


def look_into(command: Analyse, record: Record, tell: Tell) -> Opened | None:
    """Opens the scored network of a run; None, and a word to the user, where its weights are gone.

    Raises:
        RunStateError, PluginError, DataError: what the job names is gone.
    """
    place = open_run(command, record)
    split, entry = ranked_split(place), plan_stages(place)[-1]
    name = f"{record.method}, seed {record.seed}"
    if not entry.weights.is_file():
        tell(f"{name}: left out, its weights {entry.weights} are gone.", "yellow")
        return None
    samples = split.samples[: command.limit]
    tell(f"{name}: {len(samples)} pictures of {split.ref}", "")
    scorer = scorer_of(place, entry)
    return Opened(scorer, str(split.ref), split.dataset, samples, place.task.class_set.classes)


def _chosen(command: Analyse) -> list[Record]:
    """The records asked for.

    Raises:
        UsageError: there is none.
    """
    records = scan_records(command.out).records
    wanted = [
        record
        for record in records
        if (not command.methods or record.method in command.methods)
        and (not command.benchmarks or record.benchmark in command.benchmarks)
        and (not command.seeds or record.seed in command.seeds)
    ]
    if not wanted:
        there = sorted({f"{r.method} on {r.benchmark}, seed {r.seed}" for r in records})
        raise UsageError(
            f"{command.out} has no such finished run. There are: {'; '.join(there[:20]) or 'none'}."
        )
    return wanted
