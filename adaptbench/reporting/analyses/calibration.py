"""Calibration, as ``analyse calibration`` reports it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from adaptbench.evaluation.calibration import CalibrationCounts
from adaptbench.reporting.analyses import analysis
from adaptbench.reporting.analyses.analysis import Analysis, Colour, Plot, Quantity, Row
from adaptbench.reporting.figures.canvas import QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEGEND = (
    "Confidence is the probability of the predicted class; pixels are the labelled ones of the label files. *ECE* (Guo "
    "et al., arXiv:1706.04599): mean distance between confidence and accuracy over 15 bins of confidence, in percent; "
    "*MCE*: that of the worst bin. *NLL*: mean negative logarithm of the true class's probability. *Brier*: mean "
    "squared distance of all probabilities to 0 or 1, summed over the classes. Less is better. ± is the standard "
    "deviation over seeds (n-1). Counts are summed over the images before they are divided."
)


@dataclass(frozen=True)
class Measured(analysis.Measured):
    """A scored network and its counts over all images."""

    counts: CalibrationCounts

    def per_pixel(self, total: float) -> float:
        """A sum over pixels as their mean; NaN where there are none."""
        return total / (self.counts.total or float("nan"))


_ECE: Quantity[Measured] = Quantity("ECE", lambda one: 100 * one.counts.ece)
_QUANTITIES: list[Quantity[Measured]] = [
    _ECE,
    Quantity("MCE", lambda one: 100 * one.counts.mce),
    Quantity("pixel accuracy", lambda one: 100 * one.counts.accuracy),
    Quantity("mean confidence", lambda one: 100 * one.counts.mean_confidence),
    Quantity("NLL", lambda one: one.per_pixel(one.counts.log_loss), 2),
    Quantity("Brier", lambda one: one.per_pixel(one.counts.brier), 2),
]


def _draw(axes: Axes, rows: Sequence[Row[Measured]], colours: Sequence[Colour]) -> None:
    """Accuracy over confidence, a line per row, all seeds together; the diagonal is perfect."""
    axes.plot([0, 100], [0, 100], color=QUIET, linewidth=0.8, linestyle="--")
    for row, colour in zip(rows, colours, strict=True):
        bins = [(one.counts.pixels, one.counts.confidence, one.counts.hits) for one in row.measured]
        pixels, confidence, hits = (np.sum(values, axis=0) for values in zip(*bins, strict=True))
        filled = pixels > 0
        points = (100 * (sums[filled] / pixels[filled]) for sums in (confidence, hits))
        label = f"{row.title}: ECE {_ECE.text(row)}"
        axes.plot(*points, color=colour, label=label, marker="o", markersize=3.5, linewidth=1.3)
    axes.set(xlabel="mean confidence of a bin, percent", ylabel="accuracy of its pixels, percent")
    axes.grid()


CALIBRATION = Analysis(
    name="calibration",
    title="Calibration",
    legend=_LEGEND,
    quantities=lambda one: _QUANTITIES,
    order=lambda row: (float(np.nan_to_num(_ECE.mean(row), nan=np.inf)), row.first.record.method),
    plot=Plot(_draw, size=(5.6, 4.4), bottom=0.75),
)
