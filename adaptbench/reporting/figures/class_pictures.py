"""Pictures of classes: bars of the IoU of several methods, and the confusion matrix of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from adaptbench.reporting.board import Board, Row
from adaptbench.reporting.figures.canvas import INK, QUIET, empty_figure, plain_style, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Told apart in print, too; bars of further methods would be too thin to read.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#5b5f66")


def class_bars(board: Board, path: Path) -> None:
    """Draws the IoU of every class for the best rows of ``board``, one per method; whiskers are standard deviations.

    Raises:
        RunStateError: ``path`` cannot be written.
    """
    rows = best_of_each_method(board)
    width = 0.8 / len(rows)
    with plain_style():
        inches = max(7.0, 0.62 * len(board.classes))
        figure = empty_figure(inches, 4.7)
        axes = figure.add_axes((0.6 / inches, 0.2, 1 - 0.75 / inches, 0.53))
        for i, row in enumerate(rows):
            found = [row.statistics.get((board.view, name)) for name in board.classes]
            axes.bar(
                np.arange(len(found)) + (i - (len(rows) - 1) / 2) * width,
                [np.nan if one is None else one.mean for one in found],
                width,
                yerr=[0.0 if one is None or one.std is None else one.std for one in found],
                color=_COLOURS[i],
                error_kw={"elinewidth": 0.8, "ecolor": INK},
                label=f"{row.label} ({row.miou})",
            )
        axes.set_xticks(range(len(board.classes)), board.classes, rotation=45, ha="right", fontsize=8)
        axes.set_xlim(-0.6, len(board.classes) - 0.4)
        axes.set_ylim(0, 100)
        axes.set_ylabel("IoU (%)", fontsize=9)
        axes.tick_params(axis="y", labelsize=8)
        axes.grid(axis="y", linewidth=0.4)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        _title(
            figure,
            f"{board.title}: IoU per class",
            f"{where(board)}; mean over seeds, whisker: std (n-1); in brackets mIoU ({board.view})",
        )
        columns = 3 if inches > 10 else 2
        figure.legend(
            loc="upper left", bbox_to_anchor=(0.01, 0.87), ncols=columns, fontsize=7.5, frameon=False
        )
        save(figure, path)


def where(board: Board) -> str:
    """What was scored, and on which board: its name says whether the world is generated."""
    return f"{board.benchmark}: {board.images} images of {board.view.split}, {board.view.class_set}"


def best_of_each_method(board: Board) -> list[Row]:
    """The best row of every method, in the order of the board; at most as many as there are colours."""
    by_method: dict[str, Row] = {}
    for row in board.rows:
        by_method.setdefault(row.first.method, row)
    return list(by_method.values())[: len(_COLOURS)]


def confusion_picture(
    matrix: npt.NDArray[np.integer], classes: Sequence[str], title: str, note: str, path: Path
) -> None:
    """Draws a confusion matrix: of the pixels of each true class, the percentages that were predicted as each class.

    Shape: ``(C, C)``; rows are the truth.

    Raises:
        RunStateError: ``path`` cannot be written.
    """
    truth = matrix.sum(axis=1, keepdims=True)
    share = np.divide(100.0 * matrix, truth, out=np.full(matrix.shape, np.nan), where=truth > 0)
    count = len(classes)
    side = max(4.5, 0.36 * count)
    width, height = side + 1.5, side + 1.8
    with plain_style():
        figure = empty_figure(width, height)
        axes = figure.add_axes((1.35 / width, 1.05 / height, side / width, side / height))
        axes.imshow(np.nan_to_num(share), cmap="Blues", vmin=0, vmax=100, aspect="auto")
        for i in range(count):
            for j in range(count):
                if share[i, j] >= 0.5:
                    colour = "white" if share[i, j] > 55 else INK
                    axes.text(
                        j, i, f"{share[i, j]:.0f}", ha="center", va="center", fontsize=6.5, color=colour
                    )
        names = [name if truth[i, 0] else f"{name} (absent)" for i, name in enumerate(classes)]
        axes.set_xticks(range(count), classes, rotation=45, ha="right", fontsize=7.5)
        axes.set_yticks(range(count), names, fontsize=7.5)
        axes.set_xlabel("predicted", fontsize=9)
        axes.set_ylabel("true", fontsize=9)
        axes.tick_params(length=0)
        _title(figure, title, note)
        save(figure, path)


def _title(figure: Figure, title: str, note: str) -> None:
    height = figure.get_size_inches()[1]
    figure.text(0.02, 1 - 0.28 / height, title, fontsize=11, fontweight="bold", va="center")
    figure.text(0.02, 1 - 0.52 / height, note, fontsize=8, color=QUIET, va="center")
