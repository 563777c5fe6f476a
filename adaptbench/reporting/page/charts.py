"""Geometry of charts: scales, ticks and points in the units of an SVG. Templates draw them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 340
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 44
#: Told apart by colour and dash; the colours keep a contrast of 3 to the paper. Source: after Okabe and Ito (2008).
COLOURS = ("#0072b2", "#c2410c", "#007a5a", "#a3327d", "#8a6d00", "#3b82b6", "#5b5f66", "#7c3aed")
#: Marks of logarithmic axes. Units: seconds, FLOPs, joules, MiB.
DURATIONS = (1, 5, 15, 60, 180, 600, 1800, 3600, 3 * 3600, 12 * 3600, 48 * 3600, 240 * 3600)
FLOPS = tuple(m * 10.0**e for e in range(6, 16) for m in (1, 2, 5))
ENERGIES = tuple(m * 3.6e6 * 10.0**e for e in range(-4, 5) for m in (1, 2, 5))
MEMORIES = tuple(2**e * m / 4 for e in range(4, 19) for m in (4, 5, 6, 7))
DASHES = ("", "6 3", "2 3", "9 3 2 3")


#: Writes a value of an axis.
Writer = Callable[[float], str]


@dataclass(frozen=True)
class Tick:
    """A mark of an axis; ``place`` in the units of the SVG."""

    place: float
    text: str


@dataclass(frozen=True)
class Axis:
    """A scale.

    Attributes:
        label: quantity and unit.
        place: value -> units of the SVG.
        ticks: marks.
    """

    label: str
    place: Callable[[float], float]
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Point:
    """A point of a scatter plot; ``x`` and ``y`` in the units of the SVG."""

    x: float
    y: float
    label: str
    text: str
    standing: str
    href: str
    labelled: bool
    anchor: str


@dataclass(frozen=True)
class Scatter:
    """Points and the front of those that no other point beats in both directions."""

    key: str
    title: str
    x: Axis
    y: Axis
    points: tuple[Point, ...]
    front: str


@dataclass(frozen=True)
class Curve:
    """A line of a chart; ``xs`` and ``ys`` are its values, ``path`` its points in the units of the SVG."""

    label: str
    colour: str
    dash: str
    path: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]


@dataclass(frozen=True)
class LineChart:
    """Curves over a common axis."""

    key: str
    title: str
    x: Axis
    y: Axis
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Item:
    """What a scatter plot shows: cost and gain in their units."""

    cost: float
    gain: float
    label: str
    text: str
    standing: str
    href: str


#: A range that is smaller than this, as a share of its values or at all, is drawn as a single value.
_EQUAL, _NOTHING = 1e-6, 1e-12
#: Left and right end of a label, and the height of its point.
_Box = tuple[float, float, float]
#: Labels of points: characters at most, the width of one, and the distance of two lines.
_LONGEST, _CHARACTER, _LINE = 26, 8.5, 15.0


def linear(label: str, low: float, high: float, start: float, end: float, count: int = 5) -> Axis:
    """A linear scale from ``low`` at ``start`` to ``high`` at ``end``, a little wider than asked for."""
    largest = max(abs(low), abs(high))
    if high - low <= max(_EQUAL * largest, _NOTHING):
        margin = largest * 0.1 if largest > _NOTHING else 1.0
        low, high = low - margin, high + margin
    step = _step(high - low, count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    low, high = first * step, last * step
    digits = max(0, -math.floor(math.log10(step) + 1e-9))

    def place(value: float) -> float:
        return start + (end - start) * (value - low) / (high - low)

    ticks = tuple(Tick(place(i * step), f"{i * step:.{digits}f}") for i in range(first, last + 1))
    return Axis(label, place, ticks)


def _step(span: float, count: int) -> float:
    """The distance of ticks: 1, 2 or 5 times a power of ten."""
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def logarithmic(
    label: str, low: float, high: float, span: tuple[float, float], marks: Iterable[float], text: Writer
) -> Axis:
    """A logarithmic scale from ``low`` to ``high`` over ``span``, a little wider than asked for.

    Args:
        label: quantity and unit.
        low: smallest value, positive.
        high: largest value.
        span: where the scale starts and ends, in the units of the SVG.
        marks: where ticks may be; at most eight of them are kept.
        text: writes a tick.
    """
    margin = max(0.05, 0.06 * math.log10(high / low))
    from_, to = math.log10(low) - margin, math.log10(high) + margin
    start, end = span

    def place(value: float) -> float:
        return start + (end - start) * (math.log10(value) - from_) / (to - from_)

    inside = [mark for mark in marks if from_ <= math.log10(mark) <= to]
    kept = inside[:: math.ceil(len(inside) / 8) or 1] or [low]
    return Axis(label, place, tuple(Tick(place(mark), text(mark)) for mark in kept))


def scatter(
    key: str, title: str, items: Sequence[Item], gain: str, marks: Iterable[float], text: Writer
) -> Scatter | None:
    """Gain against cost, cost on a logarithmic scale; None without a positive cost.

    Args:
        key: id of the chart.
        title: the cost.
        items: what is shown.
        gain: label of the other axis.
        marks: where the ticks of the cost may be.
        text: writes them.
    """
    shown = [item for item in items if item.cost > 0]
    if not shown:
        return None
    costs, gains = [item.cost for item in shown], [item.gain for item in shown]
    x = logarithmic(title, min(costs), max(costs), (LEFT, WIDTH - RIGHT), marks, text)
    y = linear(gain, min(gains), max(gains), HEIGHT - BOTTOM, TOP)
    best = front([item for item in shown if item.standing == "ranked"])
    anchors = _anchors(best, x, y)
    points = tuple(_point(item, x, y, anchors.get(item)) for item in shown)
    return Scatter(key, title, x, y, points, _steps([(x.place(i.cost), y.place(i.gain)) for i in best]))


def _point(item: Item, x: Axis, y: Axis, anchor: str | None) -> Point:
    place, label = (x.place(item.cost), y.place(item.gain)), _shortened(item.label)
    return Point(*place, label, item.text, item.standing, item.href, anchor is not None, anchor or "end")


def _shortened(label: str) -> str:
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1].rstrip()}…"


def _anchors(items: Iterable[Item], x: Axis, y: Axis) -> dict[Item, str]:
    """Where the labels of a front go, the highest first; one that would lie upon another is left out.

    No other ranked point lies above and to the left of the front: a label is least in the way there.
    """
    found: dict[Item, str] = {}
    taken: list[_Box] = []
    for item in sorted(items, key=lambda item: -item.gain):
        point = x.place(item.cost), y.place(item.gain)
        boxes = {anchor: _box(*point, _shortened(item.label), anchor) for anchor in ("end", "start")}
        free = [anchor for anchor, box in boxes.items() if _is_free(box, taken)]
        if free:
            found[item] = free[0]
            taken.append(boxes[free[0]])
    return found


def _box(x: float, y: float, label: str, anchor: str) -> _Box:
    width = _CHARACTER * len(label)
    left = x - width if anchor == "end" else x
    return left, left + width, y


def _is_free(box: _Box, taken: Iterable[_Box]) -> bool:
    left, right, y = box
    inside = left >= LEFT and right <= WIDTH
    return inside and all(abs(y - c) >= _LINE or left >= b or right <= a for a, b, c in taken)


def front(items: Iterable[Item]) -> list[Item]:
    """The items that cost less than every other with as much gain, by cost."""
    kept: list[Item] = []
    for item in sorted(items, key=lambda item: (item.cost, -item.gain)):
        if not kept or item.gain > kept[-1].gain:
            kept.append(item)
    return kept


def _steps(points: Sequence[tuple[float, float]]) -> str:
    """An SVG path that goes right, then up."""
    if not points:
        return ""
    parts = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    parts += [f"H{x:.1f}V{y:.1f}" for x, y in points[1:]]
    return "".join([*parts, f"H{WIDTH - RIGHT}"])


def line_chart(
    key: str, title: str, series: Sequence[tuple[str, Sequence[float], Sequence[float]]], x_label: str
) -> LineChart | None:
    """Named curves of values over positions; None if there is no value."""
    filled = [(label, xs, ys) for label, xs, ys in series if xs]
    if not filled:
        return None
    x = linear(x_label, 0.0, max(max(xs) for _, xs, _ in filled), LEFT, WIDTH - RIGHT)
    low, high = min(min(ys) for _, _, ys in filled), max(max(ys) for _, _, ys in filled)
    y = linear(title, low, high, HEIGHT - BOTTOM, TOP)
    curves = tuple(
        Curve(
            label,
            COLOURS[i % len(COLOURS)],
            DASHES[i // len(COLOURS) % len(DASHES)],
            " ".join(f"{x.place(a):.1f},{y.place(b):.1f}" for a, b in zip(xs, ys, strict=True)),
            tuple(xs),
            tuple(float(f"{b:.4g}") for b in ys),
        )
        for i, (label, xs, ys) in enumerate(filled)
    )
    return LineChart(key, title, x, y, curves)
