"""The report of Class Center Distances: a page, a table and a picture per board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from adaptbench import storage
from adaptbench.evaluation.class_centers import Float
from adaptbench.reporting import words
from adaptbench.reporting.canvas import QUIET, empty_figure, plain_style, save
from adaptbench.reporting.leaderboard import Cells, markdown_table
from adaptbench.reporting.record import Record

_LEGEND = (
    "Class Center Distance (FADA, arXiv:2007.09222, section 4.4): for every class the mean squared distance of its "
    "features to their center over the squared distance to the center of another class, averaged over the other "
    "classes. Less is better: compact and far apart. Features are the encoder's last map, classes those of the true "
    "labels; these are used here, after the training, alone. The mean is over the classes that occur."
)


@dataclass(frozen=True)
class Measured:
    """A trained network and its distances.

    Attributes:
        record: of the job.
        stage: which of its trainings.
        split: whose pictures, ``dataset/split``.
        images: how many.
        classes: names of the classes.
        distance: NaN where a class does not occur. Shape: ``(C,)``.
    """

    record: Record
    stage: str
    split: str
    images: int
    classes: Sequence[str]
    distance: Float

    @property
    def mean(self) -> float:
        """Over the classes that occur."""
        return float(np.nanmean(self.distance)) if not np.isnan(self.distance).all() else float("nan")


@dataclass(frozen=True)
class Row:
    """Networks that differ by their seed alone."""

    measured: Sequence[Measured]

    @property
    def first(self) -> Measured:
        """Of the lowest seed."""
        return min(self.measured, key=lambda m: m.record.seed)

    @property
    def title(self) -> str:
        """Method, stage, and what tells it from others."""
        settings = words.assignments(self.first.record.overrides)
        return f"{self.first.record.method}, {self.first.stage}" + (f" ({settings})" if settings else "")

    @cached_property
    def distance(self) -> Float:
        """Mean over seeds, of every class. Shape: ``(C,)``."""
        mean: Float = np.mean([m.distance for m in self.measured], axis=0)
        return mean

    @property
    def mean(self) -> str:
        """Mean over classes and seeds, and the standard deviation (n-1) over seeds."""
        values = [m.mean for m in self.measured]
        deviation = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
        return f"{np.mean(values):.3f}{deviation}"


def rows_of(measured: Sequence[Measured]) -> list[Row]:
    """One row per group and stage, in the order in which they come."""
    groups: dict[tuple[str, str], list[Measured]] = {}
    for one in measured:
        groups.setdefault((one.record.group_hash, one.stage), []).append(one)
    return [Row(group) for group in groups.values()]


def write_class_centers(measured: Sequence[Measured], folder: Path) -> list[Path]:
    """Writes ``ccd-BOARD-HASH8`` as .md, .csv and .png, of networks under one protocol.

    Raises:
        RunStateError: the folder cannot be written.
    """
    first = measured[0].record
    page = folder / f"ccd-{first.benchmark.replace('/', '-')}-{first.ranking_hash[:8]}.md"
    rows = rows_of(measured)
    storage.write_text(page, _markdown(rows))
    storage.write_text(page.with_suffix(".csv"), _csv(measured))
    _draw(rows, page.with_suffix(".png"))
    return [page, page.with_suffix(".csv"), page.with_suffix(".png")]


def _markdown(rows: Sequence[Row]) -> str:
    first = rows[0].first
    where = f"{first.record.benchmark}, {first.images} images of {first.split}"
    cells = Cells(
        headers=["method", "stage", "network", "settings", "seeds", "mean", *first.classes],
        rows=[_cells(row) for row in rows],
        best=frozenset(),
        numeric=frozenset(range(5, 6 + len(first.classes))),
    )
    heading = f"# Class Center Distance: {words.markdown(where)}"
    return "\n\n".join([heading, _LEGEND, markdown_table(cells)]) + "\n"


def _cells(row: Row) -> list[str]:
    record = row.first.record
    return [
        record.method,
        row.first.stage,
        record.network.name,
        words.assignments(record.overrides) or "default",
        words.seed_list(m.record.seed for m in row.measured),
        row.mean,
        *(words.MISSING if np.isnan(value) else f"{value:.3f}" for value in row.distance),
    ]


def _csv(measured: Sequence[Measured]) -> str:
    import pandas as pd

    lines = [
        {
            "benchmark": one.record.benchmark,
            "method": one.record.method,
            "stage": one.stage,
            "network": one.record.network.name,
            "overrides": words.assignments(one.record.overrides),
            "seed": one.record.seed,
            "split": one.split,
            "images": one.images,
            "mean": one.mean,
            **dict(zip((f"ccd:{name}" for name in one.classes), one.distance, strict=True)),
            "job_hash": one.record.job_hash,
        }
        for one in measured
    ]
    return pd.DataFrame(lines).to_csv(index=False, float_format="%.6f", lineterminator="\n")


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
        note = f"{first.record.benchmark}, {first.images} images of {first.split}; less is better"
        figure.text(0.98, 0.02, note, ha="right", fontsize=7, color=QUIET)
        save(figure, path)
