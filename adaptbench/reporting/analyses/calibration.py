"""The report of calibration: a page, a table and a picture per board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptbench.evaluation.calibration import CalibrationCounts
from adaptbench.records import formatting
from adaptbench.reporting.analyses import analysis
from adaptbench.reporting.analyses.analysis import Row, grouped, mean_and_deviation, write_report
from adaptbench.reporting.figures.canvas import QUIET, empty_figure, plain_style, save
from adaptbench.reporting.table import Table, text_columns

_LEGEND = (
    "Confidence is the probability of the predicted class; pixels are the labelled ones of the label files. *ECE* (Guo "
    "et al., arXiv:1706.04599): mean distance between confidence and accuracy over 15 bins of confidence, in percent; "
    "*MCE*: that of the worst bin. *NLL*: mean negative logarithm of the true class's probability. *Brier*: mean "
    "squared distance of all probabilities to 0 or 1, summed over the classes. Less is better. ± is the standard "
    "deviation over seeds (n-1). Counts are summed over the pictures before they are divided."
)
_ECE = "ECE"


@dataclass(frozen=True)
class Measured(analysis.Measured):
    """A scored network and its counts over all pictures."""

    counts: CalibrationCounts

    @cached_property
    def scores(self) -> Mapping[str, float]:
        """By the name of the column."""
        counts, pixels = self.counts, self.counts.total or float("nan")
        return {
            _ECE: 100 * counts.ece,
            "MCE": 100 * counts.mce,
            "pixel accuracy": 100 * counts.accuracy,
            "mean confidence": 100 * counts.mean_confidence,
            "NLL": counts.log_loss / pixels,
            "Brier": counts.brier / pixels,
        }


def write_calibration(measured: Sequence[Measured], folder: Path) -> list[Path]:
    """Writes ``calibration-BOARD-HASH8`` as .md, .csv and .png, of networks under one protocol.

    Raises:
        RunStateError: the folder cannot be written.
    """
    rows = [Row(group) for group in grouped(measured, lambda one: one.record.group_hash)]
    rows.sort(key=lambda row: (np.nan_to_num(_mean(row), nan=np.inf), row.first.record.method))
    lines = [{**one.columns(), **one.scores, "job_hash": one.record.job_hash} for one in measured]
    record = measured[0].record
    return write_report(
        folder, "calibration", record, _markdown(rows), lines, lambda path: _draw(rows, path), 4
    )


def _mean(row: Row[Measured]) -> float:
    return float(np.mean([one.scores[_ECE] for one in row.measured]))


def _markdown(rows: Sequence[Row[Measured]]) -> str:
    first = rows[0].first
    described, columns = ["method", "network", "settings", "seeds"], list(first.scores)
    table = Table(
        text_columns([*described, *columns], range(len(described), len(described) + len(columns))),
        [[*_described(row), *(_text(row, column) for column in columns)] for row in rows],
    ).to_markdown()
    return "\n\n".join([f"# Calibration: {formatting.markdown(first.where)}", _LEGEND, table]) + "\n"


def _described(row: Row[Measured]) -> list[str]:
    record = row.first.record
    return [record.method, record.network.name, row.settings or "default", row.seeds]


def _title(row: Row[Measured]) -> str:
    return row.first.record.method + (f" ({row.settings})" if row.settings else "")


def _text(row: Row[Measured], column: str) -> str:
    values = [one.scores[column] for one in row.measured]
    return mean_and_deviation(values, 2 if column in ("NLL", "Brier") else 1)


def _draw(rows: Sequence[Row[Measured]], path: Path) -> None:
    """Accuracy over confidence, a line per row, all seeds together; the diagonal is perfect."""
    first = rows[0].first
    with plain_style():
        from matplotlib import colormaps

        figure = empty_figure(6.4, 5.4 + 0.2 * len(rows))
        axes = figure.add_axes((0.11, 0.11, 0.86, 0.8 - 0.03 * len(rows)))
        axes.plot([0, 100], [0, 100], color=QUIET, linewidth=0.8, linestyle="--")
        for number, row in enumerate(rows):
            confidence, accuracy = _reliability([one.counts for one in row.measured])
            axes.plot(
                100 * confidence,
                100 * accuracy,
                color=colormaps["viridis"](number / max(len(rows) - 1, 1)),
                marker="o",
                markersize=3.5,
                linewidth=1.3,
                label=f"{_title(row)}: {_ECE} {_text(row, _ECE)}",
            )
        axes.set(xlabel="mean confidence of a bin, percent", ylabel="accuracy of its pixels, percent")
        axes.grid(linewidth=0.4)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="upper left", fontsize=7.5, frameon=False, bbox_to_anchor=(0.07, 1.0))
        figure.text(0.98, 0.012, first.where, ha="right", fontsize=7, color=QUIET)
        save(figure, path)


def _reliability(counts: Sequence[CalibrationCounts]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Mean confidence and accuracy of the bins that hold pixels."""
    pixels = np.sum([one.pixels for one in counts], axis=0)
    filled = pixels > 0
    sums = [
        np.sum(values, axis=0) for values in zip(*((one.confidence, one.hits) for one in counts), strict=True)
    ]
    return sums[0][filled] / pixels[filled], sums[1][filled] / pixels[filled]
