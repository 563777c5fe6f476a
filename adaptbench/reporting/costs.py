"""What rows cost: a table, and columns of the CSV."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from adaptbench.records import formatting
from adaptbench.records.record import Cost
from adaptbench.reporting.board import Row

#: Quantities that records have which know them, with the unit.
KNOWN = ("flops", "training_pictures_per_second", "inference_pictures_per_second", "training_joules")


def mean(row: Row, quantity: str) -> float | None:
    """Mean over the seeds that know it; None where none does."""
    values = [value for record in row.records if (value := getattr(record.cost, quantity)) is not None]
    return statistics.fmean(values) if values else None


def gpu_hours(row: Row) -> float | None:
    """Mean training time on a GPU, hours; None for a row with a training on a CPU."""
    on_gpu = all(record.cost.device == "cuda" for record in row.records)
    return row.training_seconds / 3600 if on_gpu else None


def table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Headers and cells: one line per row; method and network are texts, the others numbers."""
    columns: list[tuple[str, Callable[[Row], str]]] = [
        ("method", lambda row: row.label),
        ("network", lambda row: row.first.network.name),
        ("parameters", lambda row: formatting.parameters(row.first.network.parameters)),
        ("GFLOPs per picture", lambda row: _text(mean(row, "flops"), lambda v: f"{v / 1e9:.4g}")),
        ("training time", lambda row: formatting.duration(row.training_seconds)),
        ("GPU-hours", lambda row: _text(gpu_hours(row), lambda v: f"{v:.2f}")),
        ("training pictures/s", lambda row: _rate(row, "training_pictures_per_second")),
        ("inference pictures/s", lambda row: _rate(row, "inference_pictures_per_second")),
        ("peak memory", lambda row: formatting.memory(row.peak_memory_mib)),
        ("energy", lambda row: _text(mean(row, "training_joules"), lambda v: f"{v / 3.6e6:.3g} kWh")),
        ("device", lambda row: row.devices),
    ]
    return [header for header, _ in columns], [[cell(row) for _, cell in columns] for row in rows]


def csv_columns(row: Row) -> dict[str, object]:
    """The same in base units: seconds, MiB, FLOPs, joules."""
    return {
        "training_seconds": row.training_seconds,
        "evaluation_seconds": row.evaluation_seconds,
        "peak_memory_mib": row.peak_memory_mib,
        "device": row.devices,
        "gpu_hours": gpu_hours(row),
        **{quantity: mean(row, quantity) for quantity in KNOWN},
    }


def facts(cost: Cost) -> list[tuple[str, str]]:
    """What a run's page says beside time and memory; nothing of what its record does not know."""
    said: list[tuple[str, float | None, Callable[[float], str]]] = [
        ("FLOPs per picture", cost.flops, lambda v: f"{v / 1e9:.4g} G"),
        ("training pictures/s", cost.training_pictures_per_second, lambda v: f"{v:.3g}"),
        ("inference pictures/s", cost.inference_pictures_per_second, lambda v: f"{v:.3g}"),
        ("training energy", cost.training_joules, lambda v: f"{v / 3.6e6:.3g} kWh"),
    ]
    return [(name, write(value)) for name, value, write in said if value is not None]


def _rate(row: Row, quantity: str) -> str:
    return _text(mean(row, quantity), lambda value: f"{value:.3g}")


def _text(value: float | None, write: Callable[[float], str]) -> str:
    return formatting.MISSING if value is None else write(value)
