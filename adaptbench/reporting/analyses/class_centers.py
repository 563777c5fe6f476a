"""The report of Class Center Distances: a page, a table and a picture per board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from adaptbench.evaluation.class_centers import Float
from adaptbench.records import formatting
from adaptbench.reporting.analyses import analysis
from adaptbench.reporting.analyses.analysis import grouped, mean_and_deviation, write_report
from adaptbench.reporting.figures.canvas import QUIET, empty_figure, plain_style, save
from adaptbench.reporting.table import Table, text_columns

_LEGEND = (
    "Class Center Distance (FADA, arXiv:2007.09222, section 4.4): for every class the mean squared distance of its "
    "features to their center over the squared distance to the center of another class, averaged over the other "
    "classes. Less is better: compact and far apart. Features are the encoder's last map, classes those of the true "
    "labels; these are used here, after the training, alone. The mean is over the classes that occur."
)


@dataclass(frozen=True)
class Measured(analysis.Measured):
    """A trained network and its distances.

    Attributes:
        stage: which training of the job.
        distance: NaN where a class does not occur. Shape: ``(C,)``.
    """

    stage: str
    distance: Float

    @property
    def mean(self) -> float:
        """Over the classes that occur."""
        return float(np.nanmean(self.distance)) if not np.isnan(self.distance).all() else float("nan")


@dataclass(frozen=True)
class Row(analysis.Row[Measured]):
    """Trained networks that differ by their seed alone."""

    @property
    def title(self) -> str:
        """Method, stage, and what tells it from others."""
        name = f"{self.first.record.method}, {self.first.stage}"
        return name + (f" ({self.settings})" if self.settings else "")

    @cached_property
    def distance(self) -> Float:
        """Mean over seeds, of every class. Shape: ``(C,)``."""
        mean: Float = np.mean([m.distance for m in self.measured], axis=0)
        return mean

    @property
    def mean(self) -> str:
        """Mean over classes and seeds, and the standard deviation (n-1) over seeds."""
        return mean_and_deviation([m.mean for m in self.measured], 3)


def rows_of(measured: Sequence[Measured]) -> list[Row]:
    """One row per group and stage, in the order in which they come."""
    return [Row(group) for group in grouped(measured, lambda m: (m.record.group_hash, m.stage))]


def write_class_centers(measured: Sequence[Measured], folder: Path) -> list[Path]:
    """Writes ``ccd-BOARD-HASH8`` as .md, .csv and .png, of networks under one protocol.

    Raises:
        RunStateError: the folder cannot be written.
    """
    rows = rows_of(measured)
    lines = [_line(one) for one in measured]
    return write_report(
        folder, "ccd", measured[0].record, _markdown(rows), lines, lambda path: _draw(rows, path), 6
    )


def _markdown(rows: Sequence[Row]) -> str:
    first = rows[0].first
    headers = ["method", "stage", "network", "settings", "seeds", "mean", *first.classes]
    columns = text_columns(headers, range(5, len(headers)))
    heading = f"# Class Center Distance: {formatting.markdown(first.where)}"
    return "\n\n".join([heading, _LEGEND, Table(columns, [_cells(row) for row in rows]).to_markdown()]) + "\n"


def _cells(row: Row) -> list[str]:
    record = row.first.record
    return [
        record.method,
        row.first.stage,
        record.network.name,
        row.settings or "default",
        row.seeds,
        row.mean,
        *(formatting.MISSING if np.isnan(value) else f"{value:.3f}" for value in row.distance),
    ]


def _line(one: Measured) -> dict[str, Any]:
    return {
        **one.columns(),
        "stage": one.stage,
        "mean": one.mean,
        **dict(zip((f"ccd:{name}" for name in one.classes), one.distance, strict=True)),
        "job_hash": one.record.job_hash,
    }


def _draw(rows: Sequence[Row], path: Path) -> None:
    """Bars of every class side by side, a colour per row."""
    first = rows[0].first
    places, width = np.arange(len(first.classes)), 0.8 / len(rows)
    with plain_style():
        from matplotlib import colormaps

        figure = empty_figure(10.0, 4.2 + 0.2 * len(rows))
        axes = figure.add_axes((0.07, 0.24, 0.91, 0.62 - 0.02 * len(rows)))
        for number, row in enumerate(rows):
            colour = colormaps["viridis"](number / max(len(rows) - 1, 1))
            offsets = places + (number - (len(rows) - 1) / 2) * width
            label = f"{row.title}: {row.mean}"
            axes.bar(offsets, np.nan_to_num(row.distance), width, color=colour, label=label)
        axes.set_xticks(places, first.classes, rotation=50, ha="right", rotation_mode="anchor", fontsize=8)
        axes.set_ylabel("Class Center Distance", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="upper left", fontsize=7.5, frameon=False, bbox_to_anchor=(0.06, 1.0))
        note = f"{first.where}; less is better"
        figure.text(0.98, 0.02, note, ha="right", fontsize=7, color=QUIET)
        save(figure, path)
