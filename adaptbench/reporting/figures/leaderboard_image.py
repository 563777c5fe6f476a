"""Images of leaderboards, as PNG files without date or program name."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from adaptbench.drawing.contact_sheet import fitted
from adaptbench.records import formatting
from adaptbench.reporting.board import Board, Row
from adaptbench.reporting.figures.canvas import GRID, INK, QUIET, empty_figure, placed_axes, plain_style, save
from adaptbench.reporting.leaderboard import data_sentence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHADE = "#f1f3f6"
_BAR = {"ranked": "#2a6f97", "variant": "#9cbcd2", "control": "#b4bcc8", "oracle": "#d9b26f"}
_HEAT = ("#f7fbfd", "#cfe6ef", "#8cc3d9", "#3f93b8", "#1d5f86", "#0d3557")


_ROW, _HEAD, _FOOT, _WIDTH = 0.48, 1.36, 0.62, 9.2
_NAMES, _BARS, _MARGIN, _GAP = 2.45, 2.3, 0.18, 0.1
#: Number of text lines -> their heights within a row of height 1.
_LINES = {2: (0.35, 0.70), 3: (0.24, 0.53, 0.77)}
_HOW_TO_READ = (
    "Bar: mean over seeds; whisker: standard deviation (n-1); dots below: seeds. Shaded rows are not ranked."
)


def leaderboard_image(board: Board, path: Path) -> None:
    """Draws the ranked rows and controls of ``board``; smoke runs are left out.

    A row shows place, method, network and seeds; the mIoU as a bar with standard deviation and a dot per
    seed; and the IoU of every class as a heat map. About 1200 pixels wide.
    """
    with plain_style():
        figure = empty_figure(_WIDTH, _HEAD + _ROW * max(len(board.finished), 1) + _FOOT)
        _draw_frame(figure, board)
        if board.finished:
            _draw_names(figure, board)
            _draw_bars(figure, board)
            _draw_classes(figure, board)
        else:
            figure.text(0.5, 0.45, "No finished runs to rank yet.", ha="center", color=QUIET, fontsize=9)
        save(figure, path)


def _draw_frame(figure: Figure, board: Board) -> None:
    """Title, what was scored, shading of the rows that are not ranked, and the notes below."""
    height = figure.get_size_inches()[1]
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, _WIDTH), ylim=(height, 0))
    page.axis("off")
    page.text(_MARGIN, 0.27, board.benchmark, fontsize=12, fontweight="bold", va="center")
    scored = f"{board.images} images of {board.view.split}"
    facts = f"{scored} · protocol {board.ranking_hash[:8]} · all scores in percent"
    page.text(_MARGIN, 0.52, facts, fontsize=7.5, color=QUIET, va="center")
    for left, heading in ((0.4, "method"), (_NAMES, f"mIoU ({board.view})")):
        page.text(_MARGIN + left, _HEAD - 0.11, heading, fontsize=7.5, color=QUIET, va="center")
    for i, row in enumerate(board.finished):
        top = _HEAD + i * _ROW
        if row.standing != "ranked":
            page.fill_between([0, _WIDTH], top, top + _ROW, color=_SHADE, linewidth=0)
        page.plot([_MARGIN, _WIDTH - _MARGIN], [top, top], color=GRID, linewidth=0.6)
    bottom = _HEAD + max(len(board.finished), 1) * _ROW
    page.plot([_MARGIN, _WIDTH - _MARGIN], [bottom, bottom], color=GRID, linewidth=0.6)
    for line, text in enumerate([_HOW_TO_READ, *textwrap.wrap(data_sentence(board) or "", 165)]):
        page.text(_MARGIN, bottom + 0.17 + 0.145 * line, text, fontsize=6.3, color=QUIET, va="center")


def _draw_names(figure: Figure, board: Board) -> None:
    """Place, method, what tells it from others, and in small print seeds, budget and network."""
    axes = placed_axes(figure, _MARGIN, _HEAD, _NAMES, _ROW * len(board.finished))
    axes.set(xlim=(0, _NAMES), ylim=(len(board.finished), 0))
    axes.axis("off")
    for i, row in enumerate(board.finished):
        ranked = row.rank is not None
        place, colour = (str(row.rank), _BAR["ranked"]) if ranked else (formatting.MISSING, QUIET)
        axes.text(0.29, i + 0.5, place, ha="right", va="center", fontsize=11, fontweight="bold", color=colour)
        weight = "bold" if row.rank == 1 else "normal"
        lines = [(9.0, INK, row.first.method, weight), (6.2, QUIET, _small_print(row), "normal")]
        if row.details:
            lines.insert(1, (6.2, INK, row.details, "normal"))
        for (size, colour, text, how), y in zip(lines, _LINES[len(lines)], strict=True):
            shown = fitted(text, int(_NAMES * 165 / size))
            axes.text(0.4, i + y, shown, va="center", fontsize=size, color=colour, fontweight=how)


def _small_print(row: Row) -> str:
    seeds = f"{len(row.seeds)} seed{'s' if len(row.seeds) > 1 else ''}"
    mark = [] if row.rank is not None else [row.standing]
    network = row.first.network.name
    told = [] if network in row.details.split(", ") else [network]
    return " · ".join([*mark, seeds, f"{row.first.iterations} it.", *told])


def _draw_bars(figure: Figure, board: Board) -> None:
    """The ranked score: bar, whisker, dots of the seeds, and the number."""
    axes = placed_axes(figure, _MARGIN + _NAMES, _HEAD, _BARS, _ROW * len(board.finished))
    highest = max(max(row.miou.mean + (row.miou.std or 0), *row.miou_by_seed, 1.0) for row in board.finished)
    axes.set(xlim=(0, highest * 1.48), ylim=(len(board.finished), 0))
    axes.axis("off")
    axes.plot([0, 0], [0, len(board.finished)], color=QUIET, linewidth=0.8, clip_on=False)
    for i, row in enumerate(board.finished):
        mean, std, y = row.miou.mean, row.miou.std, i + 0.5
        axes.barh(y, mean, height=0.44, color=_BAR[row.standing], linewidth=0)
        reach = mean
        if std is not None:
            axes.errorbar(mean, y, xerr=std, ecolor=INK, elinewidth=1.1, capsize=2.8, capthick=1.1)
            axes.scatter(
                row.miou_by_seed, [y + 0.33] * len(row.seeds), s=5, color=INK, linewidths=0, alpha=0.6
            )
            reach = max(mean + std, *row.miou_by_seed)
        weight = "bold" if row.rank == 1 else "normal"
        axes.text(reach + highest * 0.035, y, str(row.miou), va="center", fontsize=8.2, fontweight=weight)


def _draw_classes(figure: Figure, board: Board) -> None:
    """Heat map of the IoU per class; a class that does not occur is left white with a dash."""
    from matplotlib.colors import LinearSegmentedColormap

    left = _MARGIN + _NAMES + _BARS + _GAP
    width = _WIDTH - _MARGIN - 0.12 - left
    axes = placed_axes(figure, left, _HEAD, width, _ROW * len(board.finished))
    axes.set(xlim=(0, len(board.classes)), ylim=(len(board.finished), 0))
    axes.axis("off")
    colours = LinearSegmentedColormap.from_list("iou", _HEAT)
    size = min(7.0, 0.43 * 72 * width / len(board.classes))
    for i, row in enumerate(board.finished):
        for j, name in enumerate(board.classes):
            text, ink, statistic = formatting.MISSING, INK, row.statistics.get((board.view, name))
            if statistic is not None:
                share = statistic.mean / 100
                axes.fill_between([j + 0.04, j + 0.96], i + 0.12, i + 0.88, color=colours(share), linewidth=0)
                text, ink = f"{statistic.mean:.0f}", "white" if share > 0.52 else INK
            axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=size, color=ink)
    for j, name in enumerate(board.classes):
        axes.text(
            j + 0.3, -0.12, name, rotation=50, ha="left", va="bottom", fontsize=6.6, rotation_mode="anchor"
        )
