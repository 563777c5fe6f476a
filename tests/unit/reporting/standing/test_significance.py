"""What a leaderboard claims, and what it leaves open."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from stored_runs import CITIES, confusion, put, seeds_of

from adaptbench.cli import main
from adaptbench.records.confusion_files import PerImageConfusion, matrices_path
from adaptbench.records.record import Record
from adaptbench.reporting.board import Board, boards
from adaptbench.reporting.leaderboard import main_table, render_csv, render_markdown
from adaptbench.reporting.standing import cached_tests, significance
from adaptbench.reporting.standing.significance import Significance, candidates, compare_rows, sentence
from adaptbench.statistics.tallies import tally

Maker = Callable[..., Record]


def only_board(records: list[Record]) -> Board:
    (board,) = boards(records)
    return board


def said(
    record: Maker, percents: Mapping[str, float], seeds: Mapping[str, int] | None = None
) -> tuple[str, list[str]]:
    """The sentence and the cells of a board whose rows are compared without files."""
    tags = {"source_only": ("control",), "oracle": ("oracle",)}
    counts = seeds or {}
    made = [
        one
        for name, p in percents.items()
        for one in seeds_of(record, name, p, counts.get(name, 5), tags=tags.get(name, ()))
    ]
    board = only_board(made)
    rows = candidates(board)
    if not rows:
        return sentence(board, None), []
    tallies = {
        row.first.group_hash: np.stack(
            [tally(confusion(round(r.scores[0].miou), r.seed).matrices) for r in row.records]
        )
        for row in rows
    }
    ranked = {row.first.group_hash for row in rows if row.standing == "ranked"}
    found = compare_rows(tallies, ranked, [name.partition("_")[0] for name in CITIES], resamples=2000)
    table = main_table(board, board.rows, found)
    column = table.headers.index(significance.HEADER)
    return sentence(board, found), [f"{row[1]}: {row[column]}" for row in table.texts]


def test_a_clear_gap_makes_a_winner(record: Maker) -> None:
    text, cells = said(record, {"dacs": 60, "fada": 50, "source_only": 40, "oracle": 80})
    assert text.startswith("dacs is better than every other row that was compared. Compared were the 3 rows")
    assert cells == [
        "oracle: –",  # noqa: RUF001
        "dacs: best mean",
        "fada: worse (p < 0.001)",
        "source_only: worse (p < 0.001)",
    ]


def test_equal_methods_make_none(record: Maker) -> None:
    text, cells = said(record, {"dacs": 50, "fada": 50.3, "source_only": 40})
    assert text.startswith("No winner is declared: ")
    assert "has the best mean of the ranked rows, but is not distinguishable from" in text
    assert any("not distinguishable (p = " in cell for cell in cells)


def test_a_control_that_is_better_or_equal_denies_the_win(record: Maker) -> None:
    text, cells = said(record, {"dacs": 50, "source_only": 60})
    assert (
        "No winner is declared: dacs has the best mean of the ranked rows, but is worse than source_only."
        in text
    )
    assert "source_only: better (p < 0.001)" in cells


@pytest.mark.parametrize("count", [1, 4])
def test_below_five_seeds_nothing_is_claimed(record: Maker, count: int) -> None:
    text, _ = said(record, {"dacs": 60, "fada": 20}, {"dacs": count, "fada": count})
    assert text == (
        "No winner is declared: at least 5 seeds of a ranked row and of another one are needed. "
        "Bold marks the best mean, no more."
    )


def test_a_best_mean_of_few_seeds_wins_nothing_and_has_no_place(record: Maker) -> None:
    text, cells = said(record, {"dacs": 70, "fada": 60, "minent": 40}, {"dacs": 2})
    assert text.startswith("fada is better than every other row that was compared.")
    assert cells == ["fada: best mean", "minent: worse (p < 0.001)"]


def test_the_page_and_the_csv_say_it(record: Maker) -> None:
    made = seeds_of(record, "dacs", 60) + seeds_of(record, "fada", 50)
    board = only_board(made)
    best, other = (row.first.group_hash for row in board.rows)
    tests = {significance.key(board): Significance(best, {other: 0.0})}
    page = render_markdown(made, tests=tests)
    assert "worse (p &lt; 0.001)" in page
    assert "60.0 to 60.4" in page  # mean 60.2, deviation 0.158, t(4) = 2.776
    lines = list(csv.DictReader(io.StringIO(render_csv(made, tests))))
    assert [line["p_best"] for line in lines] == ["", "0.0000"]
    assert [line["miou_low"] for line in lines] == ["60.0037", "50.0037"]
    assert significance.HEADER not in render_markdown(made)


def test_boards_are_tested_from_files_once(
    record: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = seeds_of(record, "dacs", 60) + seeds_of(record, "fada", 50)
    put(tmp_path, made)
    assert main(["report", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "leaderboards/leaderboard.md").read_text(encoding="utf-8")
    assert "dacs is better than every other row" in page
    monkeypatch.setattr(cached_tests, "compare_rows", None)  # not called again
    assert main(["report", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "leaderboards/leaderboard.md").read_text(encoding="utf-8") == page


def test_rows_without_matrices_or_of_other_images_are_left_out(
    record: Maker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = [
        one
        for p, name in ((60, "dacs"), (50, "fada"), (40, "minent"), (30, "advent"))
        for one in seeds_of(record, name, p)
    ]
    put(tmp_path, made)
    board = only_board(made)
    matrices_path(tmp_path, board.rows[1].records[2], "cityscapes/val").unlink()
    for one in board.rows[2].records:
        kept = confusion(40, one.seed)
        renamed = PerImageConfusion(tuple(f"x{name}" for name in CITIES), kept.matrices)
        renamed.save(matrices_path(tmp_path, one, "cityscapes/val"))
    with caplog.at_level(logging.WARNING):
        (found,) = cached_tests.tests_of([board], tmp_path).values()
    assert [found.compared(row) for row in board.rows] == [True, False, False, True]
    assert "is missing: comparisons need the confusion matrices" in caplog.text
    assert "minent is not compared with other rows: it was scored on other images" in caplog.text
    put(tmp_path, made)  # what was missing is copied there later
    (found,) = cached_tests.tests_of([board], tmp_path).values()
    assert all(found.compared(row) for row in board.rows)


def test_without_any_matrices_the_page_says_so(record: Maker, tmp_path: Path) -> None:
    board = only_board(seeds_of(record, "dacs", 60) + seeds_of(record, "fada", 50))
    assert cached_tests.tests_of([board], tmp_path) == {}
    assert "the confusion matrices behind the rows are not there" in sentence(board, None)
