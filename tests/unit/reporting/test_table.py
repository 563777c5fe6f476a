"""One table in every output, and columns that say what stands in them."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable

import pytest
from rich.console import Console

from adaptbench.records import formatting
from adaptbench.records.record import Record
from adaptbench.reporting.board import Statistic, boards
from adaptbench.reporting.columns import Column, fields, machine, mean_and_std
from adaptbench.reporting.leaderboard import machine_table, main_table
from adaptbench.reporting.table import Table

Line = tuple[str, Statistic | None]
LINES: list[Line] = [("a_b", Statistic(40.06, 0.5, 2)), ("c|d", Statistic(30.0, None, 1)), ("[x]", None)]
NAME: Column[Line] = Column("name", lambda line: line[0], key="name")
SCORE: Column[Line] = Column(
    "mIoU (all)",
    lambda line: line[1],
    parts=mean_and_std("miou"),
    right=True,
    place=lambda line: LINES.index(line) + 1,
    terminal=40,
)
NOTE: Column[Line] = Column("note", lambda line: None, key="note", optional=True)
TABLE = Table([NAME, SCORE, NOTE, machine("n", lambda line: line[1].n if line[1] else 0)], LINES)


def test_markdown_escapes_and_marks_the_best() -> None:
    lines = TABLE.to_markdown().splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == ["name", "mIoU (all)"]
    assert lines[1].endswith("-:|")
    assert "**40.1 ± 0.5**" in lines[2] and "c\\|d" in lines[3] and "**" not in lines[3]
    assert formatting.MISSING in lines[4]


def test_csv_has_values_and_every_name() -> None:
    found = list(csv.DictReader(io.StringIO(TABLE.to_csv())))
    assert list(found[0]) == ["name", "miou_mean", "miou_std", "note", "n"]
    assert found[0]["miou_mean"] == "40.0600" and found[1]["miou_std"] == found[2]["miou_mean"] == ""
    assert [line["n"] for line in found] == ["2", "1", "0"]
    assert Table(TABLE.columns, []).to_csv() == "name,miou_mean,miou_std,note,n\n"


def test_json_has_plain_values() -> None:
    assert TABLE.to_json()[1:] == [
        {"name": "c|d", "miou_mean": 30.0, "miou_std": None, "note": None, "n": 1},
        {"name": "[x]", "miou_mean": None, "miou_std": None, "note": None, "n": 0},
    ]
    listed: Column[float] = Column("seeds", lambda _: (0, 1), lambda seeds: f"{len(seeds)} seeds")
    assert Table([Column("x", float), listed], [math.nan]).to_json() == [{"x": None, "seeds": "2 seeds"}]


def test_latex_escapes_marks_two_places_and_turns_headers() -> None:
    text = TABLE.to_latex(upright=1)
    assert r"\begin{tabular}{lr}" in text and r"name & \rotatebox{90}{mIoU (all)} \\" in text
    assert r"a\_b & \textbf{40.1 $\pm$ 0.5} \\" in text and r"c\textbar{}d & \underline{30.0} \\" in text
    assert r"[x] & -- \\" in text


def printed(width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(TABLE.to_rich("title", width))
    return console.export_text()


def test_a_terminal_shows_what_it_has_the_width_for() -> None:
    wide, narrow = printed(60), printed(30)
    assert "[x]" in wide and "40.1 ± 0.5" in wide and "no room" not in wide
    assert "± 0.5" not in narrow and "no room for: mIoU (all)" in " ".join(narrow.split())


def test_attributes_are_columns_of_their_names() -> None:
    columns = fields("stat", "mean", "n")

    class Holder:
        stat = Statistic(1.0, None, 3)

    assert Table(columns, [Holder()]).to_json() == [{"mean": 1.0, "n": 3}]


def test_leaderboards_are_json(records: list[Record], record: Callable[..., Record]) -> None:
    (board,) = boards(records)
    main = main_table(board, board.rows).to_json()
    assert main[1]["label"] == "dacs" and main[1]["rank"] == 1 and main[1]["miou_mean"] == 39.5
    assert main[0]["rank"] == "oracle" and main[1]["training_seconds"] == 101.0
    everything = machine_table([board]).to_json()
    assert len(everything) == 10 and everything[2]["iou:road"] == 59.5 and everything[0]["iou:train"] is None
    assert json.loads(json.dumps(everything)) == everything


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_of_a_record_is_a_formula_in_a_spreadsheet(text: str) -> None:
    lines: list[Line] = [(text, Statistic(-1.5, None, 1))]
    (row,) = csv.DictReader(io.StringIO(Table([NAME, SCORE], lines).to_csv()))
    assert row["name"] == f"'{text}".replace("\r", " ")
    assert row["miou_mean"] == "-1.5000", "numbers stay numbers"


def test_no_text_of_a_record_is_a_line_of_its_own() -> None:
    lines: list[Line] = [("a\r=1", None), ("b\n=2", None)]
    assert [row["name"] for row in csv.DictReader(io.StringIO(Table([NAME], lines).to_csv()))] == [
        "a =1",
        "b\n=2",
    ]
