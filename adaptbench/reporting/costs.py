"""What rows cost, in columns; and what a run's page says of it."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from adaptbench.records import formatting
from adaptbench.records.record import Cost
from adaptbench.reporting.board import Row
from adaptbench.reporting.columns import Column, column, fields, fixed, number

_Writer = Callable[[float], str]


def mean(row: Row, quantity: str) -> float | None:
    """Mean over the seeds that know it; None where none does."""
    values = [value for record in row.records if (value := getattr(record.cost, quantity)) is not None]
    return statistics.fmean(values) if values else None


def gpu_hours(row: Row) -> float | None:
    """Mean training time on a GPU, hours; None for a row with a training on a CPU."""
    on_gpu = all(record.cost.device == "cuda" for record in row.records)
    return row.training_seconds / 3600 if on_gpu else None


def _giga(operations: float) -> str:
    return f"{operations / 1e9:.4g}"


def _rate(per_second: float) -> str:
    return f"{per_second:.3g}"


def _energy(joules: float) -> str:
    return f"{joules / 3.6e6:.3g} kWh"


def _known(header: str, quantity: str, text: _Writer) -> Column[Any]:
    """A quantity that records have which know it."""
    return number(header, lambda one: mean(one.row, quantity), text, quantity)


TRAINING_TIME = number(
    "training time", "row.training_seconds", formatting.duration, "training_seconds", unit="s", terminal=100
)
MEMORY = number(
    *("peak memory", "row.peak_memory_mib", formatting.memory, "peak_memory_mib"),
    unit="MiB",
    smaller_first=True,
    terminal=180,
)
DEVICE = column("device", "row.devices", key="device", terminal=180, filtered=True)
_PARAMETERS = number("parameters", "row.first.network.parameters", formatting.parameters, "parameters")
_GPU_HOURS = number("GPU-hours", lambda one: gpu_hours(one.row), fixed(2), "gpu_hours")
_FLOPS = _known("GFLOPs per image", "flops", _giga)
_RATES = (
    _known("training images/s", "training_pictures_per_second", _rate),
    _known("inference images/s", "inference_pictures_per_second", _rate),
)
_ENERGY = _known("energy", "training_joules", _energy)

#: Of the table of costs.
COLUMNS = (_PARAMETERS, _FLOPS, TRAINING_TIME, _GPU_HOURS, *_RATES, MEMORY, _ENERGY, DEVICE)
#: Of the CSV, in base units: seconds, MiB, FLOPs, joules.
MACHINE_COLUMNS = (
    TRAINING_TIME,
    *fields("row", "evaluation_seconds"),
    MEMORY,
    DEVICE,
    _GPU_HOURS,
    _FLOPS,
    *_RATES,
    _ENERGY,
)


def facts(cost: Cost) -> list[tuple[str, str]]:
    """What a run's page says beside time and memory; nothing of what its record does not know."""
    said: list[tuple[str, float | None, _Writer]] = [
        ("FLOPs per image", cost.flops, lambda value: f"{_giga(value)} G"),
        ("training images/s", cost.training_pictures_per_second, _rate),
        ("inference images/s", cost.inference_pictures_per_second, _rate),
        ("training energy", cost.training_joules, _energy),
    ]
    return [(name, write(value)) for name, value, write in said if value is not None]
