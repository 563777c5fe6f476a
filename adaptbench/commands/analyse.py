"""``analyse``: looks into the networks of finished runs."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from adaptbench.errors import UsageError
from adaptbench.evaluate import evaluation_splits, scored_samples
from adaptbench.evaluation.class_centers import Float, class_center_distance
from adaptbench.evaluation.features import feature_moments
from adaptbench.evaluation.scorer import Scorer
from adaptbench.flags import Analyse
from adaptbench.jobspec import job_folder, load_job
from adaptbench.launch.processes import fix_threads
from adaptbench.reporting.class_centers import Measured, write_class_centers
from adaptbench.reporting.record import Record
from adaptbench.reporting.records import scan_records
from adaptbench.stages import PlannedStage, plan_stages, trained_method
from adaptbench.workplace import Workplace, open_workplace


def execute(command: Analyse) -> int:
    """Measures every training of the runs asked for on the ranked split, and writes a report per board."""
    console = Console()
    if command.limit is not None and command.limit < 1:
        raise UsageError(f"--limit {command.limit}: give at least 1.")
    known: dict[tuple[str, str], Float] = {}
    boards: dict[str, list[Measured]] = {}
    for record in _chosen(command):
        for measured in _measured(console, command, record, known):
            boards.setdefault(record.ranking_hash, []).append(measured)
    if not boards:
        raise UsageError("None of the runs has kept weights to look into.")
    for group in boards.values():
        for path in write_class_centers(group, command.out / "analyses"):
            _say(console, f"Written: {path}")
    return 0


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


def _measured(
    console: Console, command: Analyse, record: Record, known: dict[tuple[str, str], Float]
) -> Iterator[Measured]:
    """Every training of a job; those of ``known``, by stage and protocol, are not looked into again."""
    folder = job_folder(command.out.resolve(), record.benchmark, record.method, record.seed, record.job_hash)
    spec = load_job(folder)
    fix_threads(spec.threads)
    place = open_workplace(spec, folder)
    ref = evaluation_splits(place)[0]
    samples = scored_samples(place, ref)[: command.limit]
    for entry in plan_stages(place):
        name = f"{record.method}, seed {record.seed}, {entry.stage.name}"
        if entry.stage.labeller is not None:
            continue
        if not entry.weights.is_file():
            _say(console, f"{name}: left out, its weights {entry.weights} are gone.", "yellow")
            continue
        key = (entry.hash, record.ranking_hash)
        if key not in known:
            _say(console, f"{name}: {len(samples)} pictures of {ref}")
            scorer = _scorer(place, entry)
            moments = feature_moments(scorer, place.datasets[ref.dataset], samples)
            known[key] = class_center_distance(moments)
        classes = place.task.class_set.classes
        yield Measured(record, entry.stage.name, str(ref), len(samples), classes, known[key])


def _scorer(place: Workplace, entry: PlannedStage) -> Scorer:
    method = trained_method(place, entry)
    return Scorer(method, entry.stage.settings, place.device, place.closed_folders, lambda: False)


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(text, style=style, soft_wrap=True, highlight=False, markup=False)
