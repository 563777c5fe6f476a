"""Gap closed: per network, and only where both ends are there."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest

from adaptbench.records.record import Record
from adaptbench.reporting.board import Board, boards
from adaptbench.reporting.board_columns import GAP, entries
from adaptbench.reporting.leaderboard import main_table, render_csv
from adaptbench.reporting.standing.gap import HEADER, gaps_closed

Maker = Callable[..., Record]


@pytest.fixture
def made(record: Maker) -> list[Record]:
    ends = [
        record(method, miou, network=network, tags=(tag,))
        for network, low, high in (("deeplabv2-mini", 20.0, 60.0), ("daformer-mini", 40.0, 60.0))
        for method, tag, miou in (("source_only", "control", low), ("oracle", "oracle", high))
    ]
    others = [record("dacs", 50.0), record("dacs", 50.0, network="daformer-mini")]
    changed = record("source_only", 10.0, tags=("control",), overrides={"learning_rate": 1e-9})
    return [*ends, *others, changed, record("dacs", 50.0, network="hrda-mini")]


def only(records: list[Record]) -> Board:
    (board,) = boards(records)
    return board


def test_each_network_has_its_own_ends(made: list[Record]) -> None:
    board = only(made)
    closed = gaps_closed(board)
    dacs = [row for row in board.finished if row.first.method == "dacs"]
    found = {row.first.network.name: closed.get(row.first.group_hash) for row in dacs}
    assert found == {"deeplabv2-mini": 75.0, "daformer-mini": 50.0, "hrda-mini": None}
    ends = {
        entry.row.label.split()[0]: GAP.written(entry)
        for entry in entries(board, board.finished)
        if "learning_rate" not in entry.row.label
    }
    assert (ends["source_only"], ends["oracle"]) == ("0 %", "100 %")


def test_tables_show_it_only_where_there_is_one(made: list[Record]) -> None:
    board = only(made)
    table = main_table(board, board.finished)
    assert "75 %" in {row[table.headers.index(HEADER)] for row in table.texts}
    alone = only([made[-1]])
    assert HEADER not in main_table(alone, alone.rows).headers
    lines = list(csv.DictReader(io.StringIO(render_csv(made))))
    assert {line["gap_closed"] for line in lines if line["method"] == "dacs"} == {"75.0000", "50.0000", ""}


def test_an_oracle_below_its_floor_closes_nothing(record: Maker) -> None:
    board = only([record("source_only", 50.0, tags=("control",)), record("oracle", 40.0, tags=("oracle",))])
    assert gaps_closed(board) == {}
