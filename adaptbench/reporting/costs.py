"""What rows cost, in columns; and what a run's page says of it."""

from __future__ import annotations

import statistics
from typing import Any

from adaptbench.contracts.precision import FLOAT32
from adaptbench.records import formatting
from adaptbench.records.compilation import joined
from adaptbench.records.record import Cost
from adaptbench.reporting.board import Row
from adaptbench.reporting.columns import Column, column, fields, number


def mean(row: Row, quantity: str) -> float | None:
    """Mean over the seeds that know it; None where none does."""
    values = [value for record in row.records if (value := getattr(record.cost, quantity)) is not None]
    return statistics.fmean(values) if values else None


def gpu_hours(row: Row) -> float | None:
    """Mean training time on a GPU, hours; None for a row with a training on a CPU."""
    on_gpu = all(record.cost.device == "cuda" for record in row.records)
    return row.training_seconds / 3600 if on_gpu else None


def compiled(row: Row) -> str | None:
    """What became of --compile in all of its runs; None where it was not asked for."""
    known = [record.compilation for record in row.records if record.compilation is not None]
    return str(joined(known)) if known else None


def _known(header: str, quantity: str, pattern: str, unit: float = 1) -> Column[Any]:
    """A quantity that records have which know it, in a unit."""
    return number(header, lambda one: mean(one.row, quantity), lambda v: pattern.format(v / unit), quantity)


TRAINING_TIME = number(
    "training time", "row.training_seconds", formatting.duration, "training_seconds", unit="s", terminal=100
)
MEMORY = number(
    *("peak memory", "row.peak_memory_mib", formatting.memory, "peak_memory_mib"),
    unit="MiB",
    smaller_first=True,
    terminal=180,
)
#: Of the trainings; the usual one is not shown.
PRECISION = column(
    "precision",
    lambda one: None if one.row.first.precision == FLOAT32 else one.row.first.precision,
    key="precision",
    optional=True,
)
#: Whether the networks were while they trained, as far as they could be.
COMPILED = column("compiled", lambda one: compiled(one.row), key="compiled", optional=True)
#: Of a step, in which the networks computed its batches; the usual single one is not shown.
PARTS = column(
    "parts of a step",
    lambda one: None if one.row.first.accumulate == 1 else str(one.row.first.accumulate),
    key="accumulate",
    optional=True,
)
DEVICE = column("device", "row.devices", key="device", terminal=180, filtered=True)
_PARAMETERS = number("parameters", "row.first.network.parameters", formatting.parameters, "parameters")
_GPU_HOURS = number("GPU-hours", lambda one: gpu_hours(one.row), "{:.2f}".format, "gpu_hours")
_FLOPS = _known("GFLOPs per image", "flops", "{:.4g}", 1e9)
_RATES = (
    _known("training images/s", "training_pictures_per_second", "{:.3g}"),
    _known("inference images/s", "inference_pictures_per_second", "{:.3g}"),
)
_ENERGY = _known("energy", "training_joules", "{:.3g} kWh", 3.6e6)

#: Of the table of costs.
COLUMNS = (
    _PARAMETERS,
    _FLOPS,
    TRAINING_TIME,
    _GPU_HOURS,
    *_RATES,
    MEMORY,
    _ENERGY,
    PRECISION,
    COMPILED,
    PARTS,
    DEVICE,
)
#: Of the CSV, in base units: seconds, MiB, FLOPs, joules.
MACHINE_COLUMNS = (
    *(TRAINING_TIME, *fields("row", "evaluation_seconds"), MEMORY, PRECISION, COMPILED, PARTS, DEVICE),
    *(_GPU_HOURS, _FLOPS, *_RATES, _ENERGY),
)


def facts(cost: Cost) -> list[tuple[str, str]]:
    """What a run's page says beside time and memory; nothing of what its record does not know."""
    said = [
        (_FLOPS, "FLOPs per image", cost.flops, " G"),
        *((rate, rate.header, getattr(cost, rate.key), "") for rate in _RATES),
        (_ENERGY, "training energy", cost.training_joules, ""),
    ]
    return [(name, of.text(value) + unit) for of, name, value, unit in said if value is not None]
