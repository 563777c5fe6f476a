"""Scores near boundaries, as ``analyse boundary`` reports them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from adaptbench.evaluation.boundary import BoundaryCounts
from adaptbench.records.average import Average, Scores
from adaptbench.reporting.analyses import analysis
from adaptbench.reporting.analyses.analysis import Analysis, Colour, Plot, Quantity, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEGEND = (
    "All scores are in percent, means over the classes that the protocol averages, by default those in the truth of "
    "the pixels that are scored, ± the standard deviation over seeds (n-1). "
    "*Boundary IoU* (Cheng et al., arXiv:2103.16562): IoU of the parts of true and predicted masks that lie within 2 "
    "percent of the image's diagonal of their outside. *Up to r px*: mean IoU of the pixels at most r pixels from a "
    "true boundary between two classes (trimap); *beyond*: of those outside of the widest band. Pixels are those of "
    "the label files. Counts are summed over the images before they are divided."
)


@dataclass(frozen=True)
class Measured(analysis.Measured):
    """A scored network and its counts over all images."""

    counts: BoundaryCounts

    @cached_property
    def bands(self) -> Mapping[str, float]:
        """Mean IoU of pixels by their distance to a true boundary. Units: percent."""
        counts = self.counts
        found = {f"up to {radius} px": matrix for radius, matrix in counts.bands.items()}
        found[f"beyond {max(counts.bands)} px"] = counts.beyond
        return {name: 100 * self.average.miou(matrix) for name, matrix in found.items()}

    @property
    def average(self) -> Average:
        """The mean over classes of the run's protocol."""
        return Average.of(self.record.ranking)

    @property
    def boundary_iou(self) -> Scores:
        """Per class; NaN for one that does not count. Units: percent."""
        overlap, truth = self.counts.overlap, self.counts.whole.sum(axis=1)
        return 100 * self.average.iou(overlap.intersection, overlap.union, truth)


_SCORES: tuple[Quantity[Measured], ...] = (
    Quantity("mIoU", lambda one: 100 * one.average.miou(one.counts.whole)),
    Quantity("boundary IoU", lambda one: float(one.average.mean(one.boundary_iou))),
)


def quantities(one: Measured) -> list[Quantity[Measured]]:
    """Its scores, and those of every class."""

    def band(name: str) -> Quantity[Measured]:
        return Quantity(name, lambda one: one.bands[name])

    def of_class(number: int, name: str) -> Quantity[Measured]:
        return Quantity(
            name,
            lambda one: float(one.boundary_iou[number]),
            key=f"boundary_iou:{name}",
            section="Boundary IoU per class, mean over seeds:",
            with_deviation=False,
        )

    return [*_SCORES, *map(band, one.bands), *(of_class(*numbered) for numbered in enumerate(one.classes))]


def _draw(axes: Axes, rows: Sequence[Row[Measured]], colours: Sequence[Colour]) -> None:
    """Mean IoU over the width of the band, a line per row; bars are standard deviations."""
    names = list(rows[0].first.bands)
    for row, colour in zip(rows, colours, strict=True):
        values = np.array([[one.bands[name] for one in row.measured] for name in names])
        scores = ", ".join(f"{score.header} {score.text(row)}" for score in reversed(_SCORES))
        axes.errorbar(
            range(len(names)),
            values.mean(axis=1),
            yerr=values.std(axis=1, ddof=1) if len(row.measured) > 1 else None,
            color=colour,
            marker="o",
            markersize=3.5,
            capsize=2.5,
            linewidth=1.3,
            label=f"{row.title}: {scores}",
        )
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("mean IoU of these pixels, percent", fontsize=9)
    axes.grid(axis="y")


BOUNDARY = Analysis(
    name="boundary",
    title="Scores near boundaries",
    legend=_LEGEND,
    quantities=quantities,
    order=lambda row: (-float(np.nan_to_num(_SCORES[1].mean(row))), row.title),
    plot=Plot(_draw, "; distance to the nearest true boundary"),
)
