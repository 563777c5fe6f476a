"""Class Center Distances, as ``analyse ccd`` reports them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from adaptbench.evaluation.class_centers import Float
from adaptbench.records.average import Average
from adaptbench.reporting.analyses import analysis
from adaptbench.reporting.analyses.analysis import Analysis, Colour, Plot, Quantity, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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


_MEAN: Quantity[Measured] = Quantity("mean", lambda one: float(Average().mean(one.distance)), 3)


def quantities(one: Measured) -> list[Quantity[Measured]]:
    """The mean over the classes that occur, and every class."""

    def of_class(number: int, name: str) -> Quantity[Measured]:
        return Quantity(
            name, lambda one: float(one.distance[number]), 3, key=f"ccd:{name}", with_deviation=False
        )

    return [_MEAN, *(of_class(*numbered) for numbered in enumerate(one.classes))]


def _draw(axes: Axes, rows: Sequence[Row[Measured]], colours: Sequence[Colour]) -> None:
    """Bars of every class side by side, a colour per row."""
    classes = rows[0].first.classes
    places, width = np.arange(len(classes)), 0.8 / len(rows)
    for number, (row, colour) in enumerate(zip(rows, colours, strict=True)):
        distance = np.nan_to_num(np.mean([one.distance for one in row.measured], axis=0))
        offsets = places + (number - (len(rows) - 1) / 2) * width
        name = row.title.replace(row.first.name, f"{row.first.name}, {row.first.stage}", 1)
        axes.bar(offsets, distance, width, color=colour, label=f"{name}: {_MEAN.text(row)}")
    axes.set_xticks(places, classes, rotation=50, ha="right", rotation_mode="anchor")
    axes.set_ylabel("Class Center Distance", fontsize=9)


CCD = Analysis(
    name="ccd",
    title="Class Center Distance",
    legend=_LEGEND,
    quantities=quantities,
    decimals=6,
    facts=[("stage", "stage", lambda one: one.stage)],
    key=lambda one: (one.record.group_hash, one.stage),
    plot=Plot(_draw, "; less is better", size=(9.1, 2.6), bottom=1.1),
)
