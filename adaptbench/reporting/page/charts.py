"""Charts of the web page: figures as SVG, with what they say at the pointer."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adaptbench.errors import RunStateError
from adaptbench.records.confusion_files import PerImageConfusion, row_names
from adaptbench.records.record import Score
from adaptbench.reporting.board import Board
from adaptbench.reporting.figures import class_figures
from adaptbench.reporting.figures.canvas import (
    COLOURS,
    DASHES,
    empty_figure,
    inline_svg,
    placed_axes,
    plain_style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Marks of logarithmic axes. Units: seconds, FLOPs, joules, MiB.
DURATIONS = (1, 5, 15, 60, 180, 600, 1800, 3600, 3 * 3600, 12 * 3600, 48 * 3600, 240 * 3600)
FLOPS = tuple(m * 10.0**e for e in range(6, 16) for m in (1, 2, 5))
ENERGIES = tuple(m * 3.6e6 * 10.0**e for e in range(-4, 5) for m in (1, 2, 5))
MEMORIES = tuple(2**e * m / 4 for e in range(4, 19) for m in (4, 5, 6, 7))
#: Standing -> mark and colour.
_MARKS = {
    "ranked": ("o", COLOURS[0]),
    "variant": ("^", "#6b8fb3"),
    "control": ("s", "#6b7684"),
    "oracle": ("D", "#b07a1e"),
}
#: Size of the axes, of what lies around them, and of a line of a legend. Units: inches.
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM, _LINE = 6.6, 2.9, 0.7, 0.15, 0.2, 0.5, 0.17
#: A label of a front has as many characters at most, and is as far below the last one. Units: points.
_LONGEST, _APART = 26, 11

#: Writes a value of an axis.
Writer = Callable[[float], str]
#: What is read at a place, in shares of width and height from the top left corner; without a height on all of it.
Reading = tuple[float, float | None, str]


@dataclass(frozen=True)
class Chart:
    """A figure of the page.

    Attributes:
        key: its id.
        note: how it is read.
        said: for those who cannot see it.
        links: whether its points lead somewhere, in the order of the readings.
    """

    key: str
    title: str
    note: str
    said: str
    svg: str
    readings: tuple[Reading, ...]
    links: bool = False


@dataclass(frozen=True)
class Item:
    """What a scatter plot shows: cost and gain in their units."""

    cost: float
    gain: float
    label: str
    text: str
    standing: str
    href: str


def scatter(
    key: str, title: str, items: Sequence[Item], gain: str, marks: Iterable[float], text: Writer
) -> Chart | None:
    """Gain against cost, cost on a logarithmic scale; None without a positive cost.

    The cost's ticks are at most eight of ``marks``, which ``text`` writes.
    """
    shown = [item for item in items if item.cost > 0]
    if not shown:
        return None
    with plain_style():
        figure, axes = _axes(title)
        costs = [item.cost for item in shown]
        axes.set_xscale("log")
        axes.set_xlim(min(costs) / 1.15, max(costs) * 1.15)
        low, high = axes.get_xlim()
        inside = [mark for mark in marks if low <= mark <= high]
        kept = inside[:: math.ceil(len(inside) / 8) or 1] or costs[:1]
        axes.set_xticks(kept, [text(mark) for mark in kept])
        axes.set_xticks([], minor=True)
        _draw_points(axes, shown)
        _draw_front(axes, front(item for item in shown if item.standing == "ranked"))
        axes.legend(loc="lower right", fontsize=8)
        svg = inline_svg(figure, key)
    for item in shown:
        link = f'xlink:href="{html.escape(item.href)}"'
        svg = svg.replace(f'{link} target="_blank"', f'{link} aria-label="{html.escape(item.text)}"', 1)
    readings = tuple((*_place(axes, item.cost, item.gain), item.text) for item in shown)
    return Chart(key, title, f"against {gain}", f"{title} against {gain}", svg, readings, links=True)


def _draw_points(axes: Axes, items: Sequence[Item]) -> None:
    labels = {item.standing: item.standing for item in items}
    for item in items:
        mark, colour = _MARKS[item.standing]
        label = labels.pop(item.standing, "")  # once in the legend
        axes.scatter(
            [item.cost], [item.gain], s=55, marker=mark, color=colour, label=label, urls=[item.href], zorder=3
        )


def front(items: Iterable[Item]) -> list[Item]:
    """The items that cost less than every other with as much gain, by cost."""
    kept: list[Item] = []
    for item in sorted(items, key=lambda item: (item.cost, -item.gain)):
        if not kept or item.gain > kept[-1].gain:
            kept.append(item)
    return kept


def _draw_front(axes: Axes, items: Sequence[Item]) -> None:
    """Steps that go right, then up, with labels, the highest first; one that would touch the last is left out."""
    if not items:
        return
    costs, gains = [item.cost for item in items], [item.gain for item in items]
    right = axes.get_xlim()[1]
    axes.step([*costs, right], [*gains, gains[-1]], where="post", color=COLOURS[0], linewidth=1, ls="--")
    middle, last = math.sqrt(math.prod(axes.get_xlim())), math.inf
    for item in reversed(items):
        height = axes.transData.transform((item.cost, item.gain))[1] * 72 / axes.figure.dpi
        if last - height >= _APART:
            last = height
            label = item.label if len(item.label) <= _LONGEST else f"{item.label[: _LONGEST - 1].rstrip()}…"
            side = "left" if item.cost < middle else "right"
            axes.annotate(
                label, (item.cost, item.gain), (0, 6), textcoords="offset points", ha=side, fontsize=9
            )


def line_chart(
    key: str, title: str, series: Sequence[tuple[str, Sequence[float], Sequence[float]]], x_label: str
) -> Chart | None:
    """Named curves of values over positions, with a legend where there are several; None if there is no value."""
    filled = [(label, xs, ys) for label, xs, ys in series if xs]
    if not filled:
        return None
    with plain_style():
        figure, axes = _axes(x_label, len(filled) if len(filled) > 1 else 0)
        for i, (label, xs, ys) in enumerate(filled):
            colour, dash = COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]
            axes.plot(xs, ys, color=colour, linestyle=dash, linewidth=1.6, label=label)
        axes.set_xlim(left=0)
        if len(filled) > 1:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8, borderaxespad=0)
        svg = inline_svg(figure, key)
    _, longest, _ = max(filled, key=lambda one: len(one[1]))
    readings = tuple((_place(axes, x, 0)[0], None, _read(filled, x_label, x)) for x in longest)
    curves = f"{len(filled)} {'curve' if len(filled) == 1 else 'curves'}"
    return Chart(key, title, "", f"{title} by {x_label}, {curves}; arrow keys read values", svg, readings)


def _read(series: Iterable[tuple[str, Sequence[float], Sequence[float]]], x_label: str, x: float) -> str:
    """The values of all curves that go as far as ``x``, highest first."""
    nearest = [
        (ys[int(np.abs(np.subtract(xs, x)).argmin())], label) for label, xs, ys in series if x <= xs[-1]
    ]
    nearest.sort(key=lambda pair: -pair[0])
    return "\n".join([f"{x_label} {x:.0f}", *(f"{value:.4g}  {label}" for value, label in nearest)])


def class_bars(board: Board) -> Chart | None:
    """The IoU of every class for the best row of each method."""
    rows = class_figures.best_of_each_method(board)
    if not rows:
        return None
    with plain_style():
        figure = class_figures.class_bars(board, titled=False)
        svg = inline_svg(figure, "bars")
    readings: list[Reading] = []
    for i, name in enumerate(board.classes):
        known = [(found, row.label) for row in rows if (found := row.statistics.get((board.view, name)))]
        known.sort(key=lambda pair: -pair[0].mean)
        text = "\n".join([name, *(f"{found}  {label}" for found, label in known)])
        readings.append((_place(figure.axes[0], i, 0)[0], None, text))
    note = f"of the best row of each method, at most six, in percent ({board.view}); whiskers are standard deviations"
    said = "Bars of the IoU per class; the table above has their values"
    return Chart("bars", "IoU per class", f"{note}, and mIoU is in brackets", said, svg, tuple(readings))


def confusion(file: Path, score: Score, say: Callable[[str], None]) -> Chart | None:
    """The confusion matrix of a score; None where its file is gone, of other classes, or damaged as is said."""
    if not file.exists():
        return None
    try:
        total = PerImageConfusion.load(file).total()
    except RunStateError as error:
        say(f"no confusion on the page. {error}")
        return None
    classes = row_names(total, tuple(score.iou))
    if len(classes) != len(total):
        return None
    with plain_style():
        figure = class_figures.confusion_image(total, classes)
        svg = inline_svg(figure, "confusion")
    share, axes = class_figures.shares(total), figure.axes[0]
    readings = tuple(
        (*_place(axes, j, i), f"{share[i, j]:.1f} % of {classes[i]} predicted as {classes[j]}")
        for i, j in np.argwhere(share >= 0.05).tolist()
    )
    note = (
        f"of the pixels of each true class (rows) that were predicted as each class (columns); "
        f"{score.images} images of {score.split}, {score.class_set}"
    )
    return Chart("confusion", "Percent", note, "arrow keys read values", svg, readings)


def _axes(x_label: str, legend: int = 0) -> tuple[Figure, Axes]:
    """A figure with axes, and space for as many lines of a legend on the right."""
    right, width = (3.0, 1.5 * _WIDTH) if legend else (_RIGHT, _WIDTH)
    height = max(_HEIGHT, _LINE * legend)
    figure = empty_figure(_LEFT + width + right, _TOP + height + _BOTTOM)
    axes = placed_axes(figure, _LEFT, _TOP, width, height)
    axes.set_xlabel(x_label)
    axes.grid(axis="y")
    axes.locator_params(nbins=6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure, axes


def _place(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """Where values lie, in shares of the figure from its top left corner."""
    left, bottom = axes.figure.transFigure.inverted().transform(axes.transData.transform((x, y)))
    return round(float(left), 4), round(1 - float(bottom), 4)
