"""Bars of the IoU per class: geometry in the units of an SVG. Templates draw them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from adaptbench.reporting.board import Board, Row, Statistic
from adaptbench.reporting.figures.class_pictures import best_of_each_method
from adaptbench.reporting.page.charts import (
    BOTTOM,
    COLOURS,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    linear,
)

#: Share of a class's place that its bars fill.
_FILLED = 0.8


@dataclass(frozen=True)
class Series:
    """The bars of a row, as one path; their whiskers, a standard deviation to either side, are another."""

    label: str
    colour: str
    bars: str
    whiskers: str


@dataclass(frozen=True)
class Group:
    """The place of a class; ``text`` says its values."""

    label: str
    left: float
    width: float
    text: str


@dataclass(frozen=True)
class BarChart:
    """Bars of several rows side by side, class by class."""

    y: Axis
    series: tuple[Series, ...]
    groups: tuple[Group, ...]


def class_bars(board: Board) -> BarChart | None:
    """The IoU of every class for the best row of each method, as in `class_pictures.class_bars`."""
    rows = best_of_each_method(board)
    if not rows:
        return None
    y = linear("IoU (%)", 0.0, 100.0, HEIGHT - BOTTOM, TOP)
    place = (WIDTH - LEFT - RIGHT) / len(board.classes)
    lefts = [LEFT + i * place for i in range(len(board.classes))]
    width = _FILLED * place / len(rows)
    start = (1 - _FILLED) / 2 * place
    series = [
        _series(row, board, colour, [left + start + i * width for left in lefts], width, y)
        for i, (row, colour) in enumerate(zip(rows, COLOURS, strict=False))
    ]
    groups = [
        Group(name, left, place, _text(board, name, rows))
        for name, left in zip(board.classes, lefts, strict=True)
    ]
    return BarChart(y, tuple(series), tuple(groups))


def _series(row: Row, board: Board, colour: str, lefts: Iterable[float], width: float, y: Axis) -> Series:
    found = [
        (left, statistic)
        for left, name in zip(lefts, board.classes, strict=True)
        if (statistic := row.statistics.get((board.view, name)))
    ]
    bars = "".join(_bar(left, width, one, y) for left, one in found)
    whiskers = "".join(_whisker(left + width / 2, one.mean, one.std, y) for left, one in found if one.std)
    return Series(f"{row.label} ({row.miou})", colour, bars, whiskers)


def _bar(left: float, width: float, found: Statistic, y: Axis) -> str:
    return f"M{left:.1f},{y.place(0):.0f}V{y.place(found.mean):.1f}h{width:.1f}V{y.place(0):.0f}z"


def _whisker(x: float, mean: float, std: float, y: Axis) -> str:
    low, high = max(mean - std, 0.0), min(mean + std, 100.0)
    return f"M{x:.1f},{y.place(low):.1f}V{y.place(high):.1f}"


def _text(board: Board, name: str, rows: Sequence[Row]) -> str:
    """The values of a class, highest first."""
    known = [(found, row.label) for row in rows if (found := row.statistics.get((board.view, name)))]
    known.sort(key=lambda pair: -pair[0].mean)
    return "\n".join([name, *(f"{found}  {label}" for found, label in known)])
