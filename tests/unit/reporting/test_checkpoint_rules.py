"""Checkpoint rules side by side, on hand-made records."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from adaptbench.records.record import Record, Snapshot
from adaptbench.reporting.board import boards
from adaptbench.reporting.checkpoint_rules import (
    choices,
    choose,
    render_csv,
    render_markdown,
    write_checkpoint_rules,
)

Maker = Callable[..., Record]


def kept(*scores: tuple[float, float]) -> list[Snapshot]:
    """mIoU and certainty of snapshots."""
    return [
        Snapshot(iterations=10 * (i + 1), miou=miou, label_free={"entropy": entropy})
        for i, (miou, entropy) in enumerate(scores)
    ]


FIRST = kept((30.0, -2.0), (40.0, -1.0), (35.0, -0.5))
SECOND = kept((30.0, -2.0), (44.0, -0.1), (44.0, -0.5))


@pytest.fixture
def made(record: Maker) -> list[Record]:
    ranking = {"checkpoint": "entropy"}
    return [record(seed=s, ranking=ranking, snapshots=one) for s, one in enumerate((FIRST, SECOND))]


@pytest.mark.parametrize(("rule", "iterations"), [("last", 30), ("oracle-best", 20), ("entropy", 30)])
def test_a_rule_takes_its_snapshot(rule: str, iterations: int) -> None:
    assert choose(FIRST, rule).iterations == iterations


def test_the_earliest_of_equals_is_taken() -> None:
    assert choose(SECOND, "oracle-best").iterations == 20


def test_the_gap_is_what_a_rule_loses(made: list[Record]) -> None:
    (board,) = boards(made)
    found = {choice.rule: choice for choice in choices(board.rows[0])}
    assert list(found) == ["last", "entropy", "oracle-best"]
    assert found["last"].gaps == (5.0, 0.0) and found["entropy"].gaps == (5.0, 0.0)
    assert str(found["entropy"].miou) == "39.5 ± 6.4" and found["entropy"].gap.mean == 2.5
    assert found["oracle-best"].gaps == (0.0, 0.0) and found["oracle-best"].miou.mean == 42.0


def test_the_page_names_rules_and_splits(made: list[Record]) -> None:
    page = render_markdown(made)
    assert "mIoU (cityscapes19, cityscapes/val)" in page and "gap to oracle-best" in page
    (line,) = (line for line in page.splitlines() if "| entropy " in line and "30, 20" in line)
    assert "2 (0, 1)" in line
    lines = list(csv.DictReader(io.StringIO(render_csv(made))))
    assert len(lines) == 6 and {line["rule"] for line in lines} == {"last", "entropy", "oracle-best"}


def test_what_two_rules_share_is_shown_once(made: list[Record], record: Maker) -> None:
    again = [
        record(seed=s, ranking={"checkpoint": "oracle-best"}, snapshots=one)
        for s, one in enumerate((FIRST, SECOND))
    ]
    assert len(render_csv([*made, *again]).splitlines()) == len(render_csv(made).splitlines())


def test_rows_without_snapshots_have_no_choices(record: Maker, tmp_path: Path) -> None:
    (board,) = boards([record()])
    assert choices(board.rows[0]) == []
    assert write_checkpoint_rules([record()], tmp_path) is None


def test_snapshots_of_older_records_have_the_oracle_alone(record: Maker) -> None:
    bare = [snapshot.model_copy(update={"label_free": {}}) for snapshot in FIRST]
    (board,) = boards([record(snapshots=bare)])
    assert [choice.rule for choice in choices(board.rows[0])] == ["last", "oracle-best"]
