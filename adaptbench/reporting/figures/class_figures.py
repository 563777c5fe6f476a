"""Figures of classes: bars of the IoU of several methods, and the confusion matrix of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adaptbench.reporting.board import Board, Row
from adaptbench.reporting.figures.canvas import COLOURS, INK, QUIET, empty_figure, placed_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Bars of further methods would be too thin to read.
_MOST = 6
#: Shares of at least so many percent are written into a confusion matrix; above the other one in white.
_WRITTEN, _DARK = 0.5, 55
#: Height of a title and its note. Units: inches.
_HEAD = 0.75


def class_bars(board: Board, titled: bool = True) -> Figure:
    """The IoU of every class for the best rows of ``board``, one per method; whiskers are standard deviations."""
    rows = best_of_each_method(board)
    count, bar = len(board.classes), 0.8 / len(rows)
    width, head = max(7.0, 0.62 * count), _HEAD if titled else 0.1
    columns = 3 if width > 10 else 2
    legend = 0.2 * -(-len(rows) // columns) + 0.1
    figure = empty_figure(width, head + legend + 3.25)
    axes = placed_axes(figure, 0.6, head + legend, width - 0.75, 2.5)
    for i, row in enumerate(rows):
        found = [row.statistics.get((board.view, name)) for name in board.classes]
        axes.bar(
            np.arange(count) + (i - (len(rows) - 1) / 2) * bar,
            [np.nan if one is None else one.mean for one in found],
            bar,
            yerr=[0.0 if one is None or one.std is None else one.std for one in found],
            color=COLOURS[i],
            error_kw={"elinewidth": 0.8, "ecolor": INK},
            label=f"{row.label} ({row.miou})",
        )
    axes.set_xticks(range(count), board.classes, rotation=45, ha="right", fontsize=8)
    axes.set(xlim=(-0.6, count - 0.4), ylim=(0, 100))
    axes.set_ylabel("IoU (%)", fontsize=9)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y")
    if titled:
        note = f"{where(board)}; mean over seeds, whisker: std (n-1); in brackets mIoU ({board.view})"
        add_title(figure, f"{board.title}: IoU per class", note)
    place = (0.01, 1 - (head - 0.05) / figure.get_size_inches()[1])
    figure.legend(loc="upper left", bbox_to_anchor=place, ncols=columns, fontsize=7.5, borderaxespad=0)
    return figure


def where(board: Board) -> str:
    """What was scored, and on which board: its name says whether the world is generated."""
    return f"{board.benchmark}: {board.images} images of {board.view.split}, {board.view.class_set}"


def best_of_each_method(board: Board) -> list[Row]:
    """The best row of every method, in the order of the board; at most six."""
    by_method: dict[str, Row] = {}
    for row in board.finished:
        by_method.setdefault(row.first.method, row)
    return list(by_method.values())[:_MOST]


def shares(matrix: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
    """Of the pixels of each true class the percentages that were predicted as each class; NaN where there is none.

    Shape: ``(C, C)``; rows are the truth.
    """
    truth = matrix.sum(axis=1, keepdims=True)
    share = np.full(matrix.shape, np.nan)
    np.divide(100.0 * matrix, truth, out=share, where=truth > 0)
    return share


def confusion_image(
    matrix: npt.NDArray[np.integer[Any]], classes: Sequence[str], title: str = "", note: str = ""
) -> Figure:
    """A confusion matrix in percent of the pixels of each true class.

    Shape: ``(C, C)``; rows are the truth.
    """
    share, count = shares(matrix), len(classes)
    side, head = max(4.5, 0.36 * count), _HEAD if title else 0.1
    figure = empty_figure(side + 1.5, side + 1.05 + head)
    axes = placed_axes(figure, 1.35, head, side, side)
    axes.imshow(np.nan_to_num(share), cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for i, j in np.argwhere(share >= _WRITTEN):
        colour = "white" if share[i, j] > _DARK else "#08306b"
        axes.text(j, i, f"{share[i, j]:.0f}", ha="center", va="center", fontsize=6.5, color=colour)
    known = ~np.isnan(share[:, 0])
    names = [name if there else f"{name} (absent)" for name, there in zip(classes, known, strict=True)]
    axes.set_xticks(range(count), classes, rotation=45, ha="right", fontsize=7.5)
    axes.set_yticks(range(count), names, fontsize=7.5)
    axes.set_xlabel("predicted", fontsize=9)
    axes.set_ylabel("true", fontsize=9)
    axes.tick_params(length=0)
    add_title(figure, title, note)
    return figure


def add_title(figure: Figure, title: str, note: str) -> None:
    """A title and a note in the top left corner."""
    height = figure.get_size_inches()[1]
    figure.text(0.02, 1 - 0.28 / height, title, fontsize=11, fontweight="bold", va="center")
    figure.text(0.02, 1 - 0.52 / height, note, fontsize=8, color=QUIET, va="center")
