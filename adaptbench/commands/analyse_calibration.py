"""``analyse calibration``: whether finished runs are as often right as they are sure, on the ranked split."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from pathlib import Path

from adaptbench.commands.analyse import Tell, look_into, per_board
from adaptbench.evaluation.calibration import calibration_counts
from adaptbench.flags import Analyse
from adaptbench.records.record import Record
from adaptbench.reporting.analyses.calibration import Measured, write_calibration


def execute(command: Analyse, records: Sequence[Record], tell: Tell) -> list[Path]:
    """Measures the scored network of every run, and writes a report per board."""
    return per_board(command, records, lambda record: _measured(command, record, tell), write_calibration)


def _measured(command: Analyse, record: Record, tell: Tell) -> list[Measured]:
    opened = look_into(command, record, tell)
    if opened is None:
        return []
    believed = (opened.scorer.believed(opened.dataset, sample) for sample in opened.samples)
    counts = reduce(add, (calibration_counts(probability, truth) for truth, probability in believed))
    return [Measured(record, opened.split, len(opened.samples), opened.classes, counts)]
