"""The report of scores near boundaries: a page, a table and a picture per board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from adaptbench.evaluation.boundary import BoundaryCounts
from adaptbench.evaluation.metrics import miou
from adaptbench.records import formatting
from adaptbench.reporting.analyses import analysis
from adaptbench.reporting.analyses.analysis import grouped, mean_and_deviation, write_report
from adaptbench.reporting.figures.canvas import QUIET, empty_figure, plain_style, save
from adaptbench.reporting.table import Table, text_columns

_LEGEND = (
    "All scores are in percent, means over the classes that occur, ± the standard deviation over seeds (n-1). "
    "*Boundary IoU* (Cheng et al., arXiv:2103.16562): IoU of the parts of true and predicted masks that lie within 2 "
    "percent of the picture's diagonal of their outside. *Up to r px*: mean IoU of the pixels at most r pixels from a "
    "true boundary between two classes (trimap); *beyond*: of those outside of the widest band. Pixels are those of "
    "the label files. Counts are summed over the pictures before they are divided."
)
_WHOLE, _BOUNDARY = "mIoU", "boundary IoU"


@dataclass(frozen=True)
class Measured(analysis.Measured):
    """A scored network and its counts over all pictures."""

    counts: BoundaryCounts

    @cached_property
    def scores(self) -> Mapping[str, float]:
        """Percent by the name of the column."""
        counts = self.counts
        boundary = counts.overlap.iou
        known = boundary[~np.isnan(boundary)]
        found = {
            _WHOLE: miou(counts.whole),
            _BOUNDARY: float(known.mean()) if known.size else float("nan"),
            **{_band(radius): miou(matrix) for radius, matrix in counts.bands.items()},
            _beyond(counts): miou(counts.beyond),
        }
        return {name: 100 * value for name, value in found.items()}


@dataclass(frozen=True)
class Row(analysis.Row[Measured]):
    """Scored networks that differ by their seed alone."""

    @property
    def title(self) -> str:
        """Method, and what tells it from others."""
        return self.first.record.method + (f" ({self.settings})" if self.settings else "")

    def values(self, column: str) -> list[float]:
        """A score of every seed."""
        return [m.scores[column] for m in self.measured]

    def text(self, column: str) -> str:
        """Mean over seeds, and the standard deviation (n-1)."""
        return mean_and_deviation(self.values(column), 1)

    def per_class(self) -> list[str]:
        """Boundary IoU of every class, mean over seeds."""
        mean = np.mean([m.counts.overlap.iou for m in self.measured], axis=0)
        return [formatting.MISSING if np.isnan(value) else f"{100 * value:.1f}" for value in mean]


def rows_of(measured: Sequence[Measured]) -> list[Row]:
    """One row per group of jobs, the highest boundary IoU first."""
    rows = [Row(group) for group in grouped(measured, lambda m: m.record.group_hash)]
    return sorted(rows, key=lambda row: (-np.nan_to_num(np.mean(row.values(_BOUNDARY))), row.title))


def write_boundaries(measured: Sequence[Measured], folder: Path) -> list[Path]:
    """Writes ``boundary-BOARD-HASH8`` as .md, .csv and .png, of networks under one protocol.

    Raises:
        RunStateError: the folder cannot be written.
    """
    rows = rows_of(measured)
    lines = [_line(one) for one in measured]
    return write_report(
        folder, "boundary", measured[0].record, _markdown(rows), lines, lambda path: _draw(rows, path), 4
    )


def _band(radius: int) -> str:
    return f"up to {radius} px"


def _beyond(counts: BoundaryCounts) -> str:
    return f"beyond {max(counts.bands)} px"


def _markdown(rows: Sequence[Row]) -> str:
    first = rows[0].first
    described = ["method", "network", "settings", "seeds"]
    tables = (
        (list(first.scores), lambda row: [row.text(column) for column in first.scores]),
        (list(first.classes), Row.per_class),
    )
    pages = [
        Table(
            text_columns([*described, *columns], range(len(described), len(described) + len(columns))),
            [[*_described(row), *cells(row)] for row in rows],
        ).to_markdown()
        for columns, cells in tables
    ]
    heading = f"# Scores near boundaries: {formatting.markdown(first.where)}"
    per_class = "Boundary IoU per class, mean over seeds:"
    return "\n\n".join([heading, _LEGEND, pages[0], per_class, pages[1]]) + "\n"


def _described(row: Row) -> list[str]:
    record = row.first.record
    return [record.method, record.network.name, row.settings or "default", row.seeds]


def _line(one: Measured) -> dict[str, Any]:
    per_class = zip(one.classes, one.counts.overlap.iou, strict=True)
    return {
        **one.columns(),
        **one.scores,
        **{f"boundary_iou:{name}": 100 * value for name, value in per_class},
        "job_hash": one.record.job_hash,
    }


def _draw(rows: Sequence[Row], path: Path) -> None:
    """Mean IoU over the width of the band, a line per row; bars are standard deviations."""
    first = rows[0].first
    radii = list(first.counts.bands)
    columns = [*(_band(radius) for radius in radii), _beyond(first.counts)]
    with plain_style():
        from matplotlib import colormaps

        figure = empty_figure(8.6, 4.4 + 0.2 * len(rows))
        axes = figure.add_axes((0.09, 0.13, 0.88, 0.74 - 0.03 * len(rows)))
        for number, row in enumerate(rows):
            values = np.array([row.values(column) for column in columns])
            deviation = values.std(axis=1, ddof=1) if values.shape[1] > 1 else None
            axes.errorbar(
                range(len(columns)),
                values.mean(axis=1),
                yerr=deviation,
                color=colormaps["viridis"](number / max(len(rows) - 1, 1)),
                marker="o",
                markersize=3.5,
                capsize=2.5,
                linewidth=1.3,
                label=f"{row.title}: {_BOUNDARY} {row.text(_BOUNDARY)}, {_WHOLE} {row.text(_WHOLE)}",
            )
        axes.set_xticks(range(len(columns)), columns, fontsize=8)
        axes.set_ylabel("mean IoU of these pixels, percent", fontsize=9)
        axes.grid(axis="y", linewidth=0.4)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="upper left", fontsize=7.5, frameon=False, bbox_to_anchor=(0.07, 1.0))
        note = f"{first.where}; distance to the nearest true boundary"
        figure.text(0.98, 0.015, note, ha="right", fontsize=7, color=QUIET)
        save(figure, path)
