"""Tables, charts and curves of the web page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adaptbench.records import formatting
from adaptbench.records.record import Record
from adaptbench.reporting.board import boards
from adaptbench.reporting.leaderboard import Cells
from adaptbench.reporting.page import bars, charts, curves, names, tables
from adaptbench.reporting.page.charts import Item

INK, PAPER = (27, 36, 48), (255, 255, 255)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("51.0 ± 0.1", 51.0),
        ("-1.3", -1.3),
        ("+0.4", 0.4),
        ("2.2s", 2.2),
        ("4m 12s", 252.0),
        ("1h 02m 03s", 3723.0),
        ("812 MiB", 812.0),
        ("13.2 GiB", 13516.8),
        ("77.4 †", 77.4),
        ("oracle", None),
        (formatting.MISSING, None),
    ],
)
def test_cells_are_sorted_by_their_number(text: str, value: float | None) -> None:
    assert tables.sort_value(text) == pytest.approx(value)


@given(st.floats(0.05, 1e6))
def test_durations_keep_their_order(seconds: float) -> None:
    longer = tables.sort_value(formatting.duration(seconds * 1.2 + 1))
    found = tables.sort_value(formatting.duration(seconds))
    assert found is not None and longer is not None and found < longer
    assert found == pytest.approx(seconds, rel=0.06, abs=0.06)


def test_a_column_is_a_filter_only_if_it_separates_rows() -> None:
    cells = Cells(
        ["method", "network", "device"], [["a", "x", "cpu"], ["b", "y", "cpu"]], frozenset(), frozenset()
    )
    table = tables.from_cells(cells, "t", "caption", filtered=("network", "device", "absent"))
    assert [(f.label, f.options) for f in table.filters] == [("network", ("x", "y"))]
    assert [line.filters for line in table.lines] == [("x",), ("y",)]


@given(st.floats(0, 1))
def test_shaded_text_can_be_read(share: float) -> None:
    style = tables.shade(share)
    background, ink = (tuple(bytes.fromhex(part.split("#")[1])) for part in style.split(";"))
    assert tables.contrast(background, ink) >= 4.5


def test_contrast_of_black_and_white() -> None:
    assert tables.contrast((0, 0, 0), PAPER) == pytest.approx(21.0)
    assert tables.contrast(INK, INK) == 1.0


@pytest.mark.parametrize("colour", charts.COLOURS)
def test_curves_stand_out_from_the_paper(colour: str) -> None:
    assert tables.contrast(bytes.fromhex(colour[1:]), PAPER) >= 3


@given(st.floats(-1e4, 1e4), st.floats(0, 1e4))
@example(0.0, 5e-324)
@example(1e-320, 0.0)
@example(1e4, 1e-9)
def test_a_linear_axis_holds_its_values_between_its_ticks(low: float, span: float) -> None:
    axis = charts.linear("y", low, low + span, 300, 10)
    for value in (low, low + span):
        assert 10 - 1e-6 <= axis.place(value) <= 300 + 1e-6
    assert 2 <= len(axis.ticks) <= 12 and len({tick.text for tick in axis.ticks}) == len(axis.ticks)


@pytest.mark.parametrize(("low", "high"), [(600, 1100), (2, 1300), (715, 715)])
def test_a_logarithmic_axis_has_ticks_inside(low: float, high: float) -> None:
    axis = charts.logarithmic("x", low, high, (56, 704), charts.MEMORIES, formatting.memory)
    assert axis.ticks and all(56 <= tick.place <= 704 for tick in axis.ticks)
    assert 56 <= axis.place(low) <= axis.place(high) <= 704


def item(cost: float, gain: float, standing: str = "ranked") -> Item:
    return Item(cost, gain, f"{cost}", "text", standing, "run.html")


def test_the_front_holds_what_nothing_beats() -> None:
    items = [item(10, 30), item(20, 50), item(15, 20), item(30, 50), item(40, 60)]
    beaten = {i for i in items for o in items if o.cost <= i.cost and o.gain >= i.gain and o is not i}
    assert charts.front(items) == [i for i in items if i not in beaten]


def test_a_front_leaves_controls_and_oracles_out() -> None:
    chart = charts.scatter(
        "c", "Cost", [item(1, 90, "oracle"), item(10, 30), item(0, 99)], "mIoU", charts.DURATIONS, str
    )
    assert chart is not None
    assert [point.labelled for point in chart.points] == [False, True]
    assert charts.scatter("c", "Cost", [item(0, 1)], "mIoU", charts.DURATIONS, str) is None


def test_labels_of_a_front_lie_inside_and_apart() -> None:
    names = ["at the left edge", "its neighbour", "a label that is much longer than the others are", "last"]
    items = [
        Item(cost, gain, name, "text", "ranked", "run.html")
        for cost, gain, name in zip((10, 11, 300, 9000), (30.0, 30.5, 60.0, 90.0), names, strict=True)
    ]
    chart = charts.scatter("c", "Cost", items, "mIoU", charts.DURATIONS, str)
    assert chart is not None
    edge, neighbour, long, last = chart.points
    assert (edge.labelled, neighbour.labelled) == (False, True) and neighbour.anchor == "start"
    assert long.label.endswith("…") and len(long.label) <= 26
    assert last.labelled and last.anchor == "end"


def test_bars_are_as_high_as_the_iou(records: list[Record]) -> None:
    (board,) = boards(records)
    chart = bars.class_bars(board)
    assert chart is not None
    assert [one.label.split()[0] for one in chart.series] == [
        "oracle",
        "dacs",
        "fada",
        "source_only",
        "majority",
    ]
    found = board.rows[0].statistics[board.view, "road"]
    assert chart.series[0].bars.startswith(f"M59.4,296V{296 - 2.8 * found.mean:.1f}")
    occur = [name for name in board.classes if (board.view, name) in board.rows[0].statistics]
    assert {one.bars.count("M") for one in chart.series} == {len(occur)} == {18}
    assert [group.label for group in chart.groups] == list(board.classes)
    assert chart.groups[0].text.splitlines()[:2] == ["road", f"{found}  oracle"]


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
    assert [curve.label for curve in chart.curves] == ["a"] and chart.title == "loss (sum of all terms)"
    assert len(chart.curves[0].path.split()) == 9
    assert curves.read_metrics(tmp_path / "none") == {}


def test_file_names_are_plain() -> None:
    assert names.slug("../../x'\"<b>", "Ä", "") == "x-b-ä".replace("-ä", "")
    assert names.slug("///") == "unnamed"
    assert len(names.slug("a" * 500)) <= 80
