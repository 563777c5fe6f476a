"""Tables, charts and curves of the web page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.container import BarContainer

from adaptbench.records import formatting
from adaptbench.records.record import Cost, Record
from adaptbench.reporting.board import Statistic, boards
from adaptbench.reporting.columns import Column, column
from adaptbench.reporting.figures import class_figures
from adaptbench.reporting.figures.canvas import COLOURS
from adaptbench.reporting.leaderboard import main_table
from adaptbench.reporting.page import charts, curves, names, tables
from adaptbench.reporting.page.charts import Chart, Item
from adaptbench.reporting.page.tables import PageTable
from adaptbench.reporting.published.facts import Value
from adaptbench.reporting.table import Table

PAPER, NIGHT = (255, 255, 255), (18, 24, 31)


def number(value: object, right: bool = True) -> tables.Cell:
    return tables.cell(Column("header", lambda _: value, right=right), None)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (Statistic(51.04, 0.1, 3), 51.04),
        (-1.3, -1.3),
        (252, 252.0),
        (Value("77.4", 1, "Table 1", ""), 77.4),
        ("oracle", None),
        (None, None),
    ],
)
def test_cells_are_sorted_by_their_value(value: object, key: float | None) -> None:
    assert number(value).sort == key


def test_texts_are_sorted_as_texts_and_what_is_missing_comes_last() -> None:
    assert number("Dacs", right=False).sort == "dacs"
    assert number(None, right=False) == tables.Cell(formatting.MISSING, None, False, "")


def test_the_leaderboard_is_sorted_by_unrounded_values(record: Callable[..., Record]) -> None:
    costs = [
        Cost(training_seconds=seconds, evaluation_seconds=1, peak_memory_mib=mib, device="cpu")
        for seconds, mib in ((3723.4, 13516.8), (3723.2, 812.0))
    ]
    (board,) = boards([record("a", 40.04, cost=costs[0]), record("b", 40.01, cost=costs[1])])
    shown = PageTable(main_table(board, board.rows), "t", "caption")
    found = {column.header: [cells[j] for cells in shown.cells] for j, column in enumerate(shown.columns)}
    assert [(cell.text, cell.sort) for cell in found["time"]] == [
        ("1h 02m 03s", 3723.4),
        ("1h 02m 03s", 3723.2),
    ]
    assert [cell.sort for cell in found["peak memory"]] == [13516.8, 812.0]
    assert [cell.sort for cell in found[f"mIoU ({board.view})"]] == [40.04, 40.01]
    assert [cell.is_best for cell in found[f"mIoU ({board.view})"]] == [True, False]


def test_a_column_is_a_filter_only_if_it_separates_lines() -> None:
    columns = [column("method", itemgetter(0))]
    columns += [column(name, itemgetter(j), filtered=True) for j, name in ((1, "network"), (2, "device"))]
    lines = [("a", "x", "cpu"), ("b", "y", "cpu")]
    table = PageTable(Table(columns, lines), "t", "caption")
    assert [(f.label, f.options, f.column) for f in table.filters] == [("network", ("x", "y"), 1)]


def contrast(first: Sequence[int], second: Sequence[int]) -> float:
    """Contrast ratio of two colours, 1..21. Source: WCAG 2.2, definition of contrast ratio."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Sequence[int]) -> float:
    shares = [value / 255 for value in colour]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@given(st.floats(0, 1))
def test_shaded_text_can_be_read(share: float) -> None:
    style = tables.shade(share)
    background, ink = (tuple(bytes.fromhex(part.split("#")[1])) for part in style.split(";"))
    assert contrast(background, ink) >= 4.5


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("paper", [PAPER, NIGHT])
def test_curves_stand_out_from_the_paper(colour: str, paper: tuple[int, int, int]) -> None:
    assert contrast(tuple(bytes.fromhex(colour[1:])), paper) >= 3


def texts(chart: Chart) -> list[str]:
    """What is written in a chart."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", chart.svg)


@pytest.mark.parametrize(("low", "high"), [(600, 1100), (2, 1300), (715, 715)])
def test_a_logarithmic_axis_has_ticks_inside(low: float, high: float) -> None:
    items = [Item(cost, 5.0, "label", "text", "control", "run.html") for cost in (low, high)]
    chart = charts.scatter("c", "Memory", items, "mIoU", charts.MEMORIES, formatting.memory)
    assert chart is not None
    assert 1 <= len([text for text in texts(chart) if text.endswith("iB")]) <= 8
    (left, *_), (right, *_) = chart.readings
    assert 0 < left <= right < 1


def item(cost: float, gain: float, standing: str = "ranked") -> Item:
    return Item(cost, gain, f"costs {cost}", "text", standing, "run.html")


def test_the_front_holds_what_nothing_beats() -> None:
    items = [item(10, 30), item(20, 50), item(15, 20), item(30, 50), item(40, 60)]
    beaten = {i for i in items for o in items if o.cost <= i.cost and o.gain >= i.gain and o is not i}
    assert charts.front(items) == [i for i in items if i not in beaten]


def test_a_front_leaves_controls_and_oracles_out() -> None:
    chart = charts.scatter(
        "c", "Cost", [item(1, 90, "oracle"), item(10, 30), item(0, 99)], "mIoU", charts.DURATIONS, str
    )
    assert chart is not None
    assert "costs 10" in texts(chart) and "costs 1" not in texts(chart)
    assert charts.scatter("c", "Cost", [item(0, 1)], "mIoU", charts.DURATIONS, str) is None


def test_points_lead_to_their_runs_and_say_their_values() -> None:
    items = [Item(10.0 + i, 30.0, "label", f'"{i}" & more', "ranked", f"run-{i}.html") for i in range(2)]
    chart = charts.scatter("c", "Cost", items, "mIoU", charts.DURATIONS, str)
    assert chart is not None
    links = re.findall(r'<a xlink:href="([^"]*)" aria-label="([^"]*)"', chart.svg)
    assert links == [(f"run-{i}.html", f"&quot;{i}&quot; &amp; more") for i in range(2)]
    assert [text for _, _, text in chart.readings] == ['"0" & more', '"1" & more']


def test_labels_of_a_front_are_short_and_apart() -> None:
    names = ["at the left edge", "its neighbour", "a label that is much longer than the others are", "last"]
    items = [
        Item(cost, gain, name, "text", "ranked", "run.html")
        for cost, gain, name in zip((10, 11, 300, 9000), (30.0, 30.5, 60.0, 90.0), names, strict=True)
    ]
    chart = charts.scatter("c", "Cost", items, "mIoU", charts.DURATIONS, str)
    assert chart is not None
    found = texts(chart)
    assert "at the left edge" not in found and "its neighbour" in found and "last" in found
    (long,) = [text for text in found if text.endswith("…")]
    assert len(long) <= 26


def test_bars_are_as_high_as_the_iou(records: list[Record]) -> None:
    (board,) = boards(records)
    chart = charts.class_bars(board)
    assert chart is not None
    labels = [text.split()[0] for text in texts(chart) if "±" in text]
    assert sorted(labels) == ["dacs", "fada", "majority", "oracle", "source_only"]
    assert [name for name in texts(chart) if name in board.classes] == list(board.classes)
    found = board.rows[0].statistics[board.view, "road"]
    axes = class_figures.class_bars(board).axes[0]
    heights = [
        [bar.get_height() for bar in bars] for bars in axes.containers if isinstance(bars, BarContainer)
    ]
    assert heights[0][0] == pytest.approx(found.mean)
    occur = [name for name in board.classes if (board.view, name) in board.rows[0].statistics]
    assert {int(np.isfinite(bars).sum()) for bars in heights} == {len(occur)} == {18}
    assert chart.readings[0][2].splitlines()[:2] == ["road", f"{found}  oracle"]


@given(st.integers(1, 500), st.integers(2, 80))
def test_thinning_keeps_the_mean_and_the_first_value(count: int, points: int) -> None:
    numbers = [float(i % 7) for i in range(count)]
    steps = [float(i) for i in range(count)]
    xs, ys = curves.thinned(steps, numbers, points)
    assert len(xs) == len(ys) <= points and ys[0] == numbers[0]
    assert xs == sorted(xs) and min(numbers) <= min(ys) and max(ys) <= max(numbers)


def test_curves_are_read_and_drawn(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [{"iteration": i, "loss": 2.0 - i / 100, "x.acc": float("nan"), "share": [0.1]} for i in range(9)]
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    metrics = curves.read_metrics(path)
    assert set(metrics) == {"loss"}
    (chart,) = curves.charts([("a", metrics), ("b", {})])
    assert chart.title == "loss (sum of all terms)" and "1 curve;" in chart.said
    assert [text for _, _, text in chart.readings] == [
        f"iteration {i}\n{2 - i / 100:.4g}  a" for i in range(9)
    ]
    assert curves.read_metrics(tmp_path / "none") == {}


def test_file_names_are_plain() -> None:
    assert names.slug("../../x'\"<b>", "Ä", "") == "x-b-ä".replace("-ä", "")
    assert names.slug("///") == "unnamed"
    assert len(names.slug("a" * 500)) <= 80
