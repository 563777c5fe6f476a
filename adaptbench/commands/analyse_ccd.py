"""``analyse ccd``: Class Center Distance of the features of every training of finished runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from adaptbench.commands.analyse import Tell, open_run, per_board, scorer_of
from adaptbench.evaluation.class_centers import Float, class_center_distance
from adaptbench.evaluation.features import feature_moments
from adaptbench.execution.scored_splits import ranked_split
from adaptbench.execution.stages.planned import plan_stages
from adaptbench.flags import Analyse
from adaptbench.records.record import Record
from adaptbench.reporting.analyses.class_centers import Measured, write_class_centers


def execute(command: Analyse, records: Sequence[Record], tell: Tell) -> list[Path]:
    """Measures every training of the runs on the ranked split, and writes a report per board."""
    known: dict[tuple[str, str], Float] = {}
    return per_board(
        command, records, lambda record: _measured(command, record, known, tell), write_class_centers
    )


def _measured(
    command: Analyse, record: Record, known: dict[tuple[str, str], Float], tell: Tell
) -> Iterator[Measured]:
    """Every training of a job; those of ``known``, by stage and protocol, are not looked into again."""
    place = open_run(command, record)
    split = ranked_split(place)
    ref, samples = split.ref, split.samples[: command.limit]
    for entry in plan_stages(place):
        name = f"{record.method}, seed {record.seed}, {entry.stage.name}"
        if entry.stage.labeller is not None:
            continue
        if not entry.weights.is_file():
            tell(f"{name}: left out, its weights {entry.weights} are gone.", "yellow")
            continue
        key = (entry.result_hash, record.ranking_hash)
        if key not in known:
            tell(f"{name}: {len(samples)} pictures of {ref}", "")
            moments = feature_moments(scorer_of(place, entry), split.dataset, samples)
            known[key] = class_center_distance(moments)
        classes = place.task.class_set.classes
        yield Measured(record, str(ref), len(samples), classes, entry.stage.name, known[key])
