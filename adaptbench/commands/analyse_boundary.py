"""``analyse boundary``: scores of finished runs near the boundaries of objects, on the ranked split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adaptbench.commands.analyse import Tell, open_run, scorer_of
from adaptbench.evaluate import ranked_split
from adaptbench.evaluation.boundary import BoundaryCounts, boundary_counts
from adaptbench.flags import Analyse
from adaptbench.reporting.boundaries import Measured, write_boundaries
from adaptbench.reporting.record import Record
from adaptbench.stages.planned import plan_stages


def execute(command: Analyse, records: Sequence[Record], tell: Tell) -> list[Path]:
    """Measures the scored network of every run, and writes a report per board."""
    boards: dict[str, list[Measured]] = {}
    for record in records:
        measured = _measured(command, record, tell)
        if measured is not None:
            boards.setdefault(record.ranking_hash, []).append(measured)
    folder = command.out / "analyses"
    return [path for group in boards.values() for path in write_boundaries(group, folder)]


def _measured(command: Analyse, record: Record, tell: Tell) -> Measured | None:
    place = open_run(command, record)
    split, entry = ranked_split(place), plan_stages(place)[-1]
    name = f"{record.method}, seed {record.seed}"
    if not entry.weights.is_file():
        tell(f"{name}: left out, its weights {entry.weights} are gone.", "yellow")
        return None
    samples = split.samples[: command.limit]
    tell(f"{name}: {len(samples)} pictures of {split.ref}", "")
    scorer = scorer_of(place, entry)
    total: BoundaryCounts | None = None
    for sample in samples:
        counts = boundary_counts(*scorer.segmented(split.dataset, sample), len(place.task.class_set))
        total = counts if total is None else total + counts
    if total is None:
        return None
    return Measured(record, str(split.ref), len(samples), place.task.class_set.classes, total)
