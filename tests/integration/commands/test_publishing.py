"""What ``report --publish`` writes into the repository, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from stored_runs import put, seeds_of

from adaptbench.commands.publishing import publish
from adaptbench.contracts.study import Study, Variant
from adaptbench.errors import DataError
from adaptbench.planning.estimates import board_rows
from adaptbench.records.record import Record
from adaptbench.reporting.published.comparison import Facts
from adaptbench.reporting.published.facts import load_published
from adaptbench.reporting.studies.series import Series
from adaptbench.reporting.studies.study_table import study_table
from adaptbench.submissions.pack import read_zip

Maker = Callable[..., Record]
GAP = {"overrides": {"minicity.gap": 0.0}, "ranking": {"world": "without a gap"}}


class Controls(Study):
    """A study for these tests."""

    name = "world/controls"
    title = "Controls"
    paper = None
    table = "none"
    benchmarks = ("gta5_to_cityscapes",)
    variants = (Variant("DACS", "dacs", {}),)
    reference = None


def published(records: list[Record], tmp_path: Path, study: list[Record] | None = None) -> list[str]:
    """What is said when these runs are published, ``study`` of them as a table of their own."""
    out = tmp_path / "out"
    put(out, records)
    tables = []
    if study:
        first = study[0]
        series = Series(
            study=Controls.name,
            file=None,
            board=first.benchmark,
            profile="mini",
            ranking_hash=first.ranking_hash,
            device="cpu",
            settings=[],
            limit=None,
            variants={"DACS": first.group_hash},
        )
        tables = [study_table(Controls, series, study)]
    return list(publish(records, tables, out, tmp_path / "results", {}, Facts(load_published(), {})))


def seeds(path: Path) -> list[str]:
    return [row["seeds"] for row in board_rows(path)]


def test_boards_and_runs_are_written(record: Maker, tmp_path: Path) -> None:
    runs = seeds_of(record, "dacs", 50.0, 3)
    published([*runs, record("fada", smoke=True), record("fada", profile="paper")], tmp_path)
    folder = tmp_path / "results" / "minicity"
    assert seeds(folder / "leaderboard.csv") == ["0 1 2"]
    assert {read_zip(path).record.job_hash for path in (folder / "runs").iterdir()} == {
        r.job_hash for r in runs
    }
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["minicity"]


def test_worlds_with_other_dials_are_shown_by_studies_alone(record: Maker, tmp_path: Path) -> None:
    usual, other = seeds_of(record, "dacs", 50.0, 3), seeds_of(record, "dacs", 60.0, 2, **GAP)
    published([*usual, *other], tmp_path, other)
    folder = tmp_path / "results" / "minicity"
    assert seeds(folder / "leaderboard.csv") == ["0 1 2"]
    assert seeds(folder / "studies" / "world-controls-minicity-gta5_to_cityscapes.csv") == ["0 1"]
    assert len(list((folder / "runs").iterdir())) == 5


def test_nothing_that_is_shown_is_lost(record: Maker, tmp_path: Path) -> None:
    published(seeds_of(record, "dacs", 50.0, 3), tmp_path)
    board = tmp_path / "results" / "minicity" / "leaderboard.csv"
    before = board.read_bytes()
    said = published([record("dacs", 50.0, 0), *seeds_of(record, "fada", 40.0, 3)], tmp_path)
    assert board.read_bytes() == before
    assert f"left {board}" in said[0] and "dacs 1 2" in said[0] and "merge" in said[0]
    published([*seeds_of(record, "dacs", 50.0, 3), *seeds_of(record, "fada", 40.0, 3)], tmp_path)
    assert seeds(board) == ["0 1 2", "0 1 2"]


def test_runs_that_come_from_the_repository_are_published_as_they_were(record: Maker, tmp_path: Path) -> None:
    published(seeds_of(record, "dacs", 50.0, 3), tmp_path)
    folder = tmp_path / "results" / "minicity"
    before = {path.name: path.read_bytes() for path in (folder / "runs").iterdir()}
    merged = seeds_of(record, "dacs", 50.0, 3, origin="submitted")
    published([*merged, record("fada", 40.0, origin="submitted")], tmp_path)
    assert [row["origin"] for row in board_rows(folder / "leaderboard.csv")] == ["maintainer", "submitted"]
    after = {path.name: path.read_bytes() for path in (folder / "runs").iterdir()}
    assert len(after) == 4 and before.items() <= after.items()


def test_studies_are_not_lost_either(record: Maker, tmp_path: Path) -> None:
    runs = seeds_of(record, "dacs", 50.0, 3)
    published(runs, tmp_path, runs)
    said = published(runs, tmp_path, runs[:2])
    assert next(line for line in said if line.startswith("left")).count("dacs 2") == 1


def test_a_damaged_page_is_named(record: Maker, tmp_path: Path) -> None:
    board = tmp_path / "results" / "minicity" / "leaderboard.csv"
    board.parent.mkdir(parents=True)
    board.write_text("rank,method\n1,dacs\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"leaderboard.csv cannot be read .*Restore it"):
        published(seeds_of(record, "dacs", 50.0, 1), tmp_path)
