"""``analyse views``: other scores of finished runs, from the confusion matrices they keep, without new predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adaptbench.commands.analyse import Tell, per_board
from adaptbench.flags import Analyse
from adaptbench.records.confusion_files import PerImageConfusion, matrices_path
from adaptbench.records.record import Record
from adaptbench.reporting.analyses.views import Viewed, write_views
from adaptbench.reporting.matrices import cluster_names


def execute(command: Analyse, records: Sequence[Record], tell: Tell) -> list[Path]:
    """Reads the matrices of every split of every run, and writes a report per board."""
    return per_board(command, records, lambda record: _viewed(command, record, tell), write_views)


def _viewed(command: Analyse, record: Record, tell: Tell) -> list[Viewed]:
    found = []
    for score in record.scores:
        path = matrices_path(command.out.resolve(), record, score.split)
        if not path.is_file():
            tell(f"{record.method}, seed {record.seed}: {score.split} is left out, {path} is gone.", "yellow")
            continue
        kept = PerImageConfusion.load(path)
        if not kept.tags:  # of an older version
            clusters = cluster_names(command.out.resolve(), record, score.split, kept.names)
            kept = replace(kept, tags=tuple({"place": cluster} for cluster in clusters))
        kept = kept.first(command.limit)
        found.append(Viewed(record, score.split, len(kept.names), tuple(score.iou), score.class_set, kept))
    return found
