"""A place has only the default row of a method with all seeds; all others stand in a second table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest
from rich.console import Console

from adaptbench.records.compilation import Compilation
from adaptbench.records.record import Record
from adaptbench.reporting.board import Board, boards
from adaptbench.reporting.latex import render_latex
from adaptbench.reporting.leaderboard import (
    VARIANTS_TITLE,
    main_table,
    main_tables,
    render_csv,
    render_markdown,
    to_json,
)
from adaptbench.reporting.standing.significance import candidates
from adaptbench.reporting.terminal import leaderboard_table

Maker = Callable[..., Record]


@pytest.fixture
def made(record: Maker) -> list[Record]:
    """Two methods of three seeds; a better setting, a longer training, a single seed, and a control of one seed."""
    return [
        *(record("dacs", 40.0 + seed, seed) for seed in range(3)),
        *(record("fada", 30.0 + seed, seed) for seed in range(3)),
        *(record("dacs", 60.0, seed, overrides={"pseudo_threshold": 0.9}) for seed in range(5)),
        *(record("fada", 70.0, seed, overrides={"iterations": 9000}) for seed in range(3)),
        record("minent", 80.0),
        record("source_only", 20.0, tags=("control",)),
    ]


def only(records: list[Record]) -> Board:
    (board,) = boards(records)
    return board


def test_who_has_a_place(made: list[Record]) -> None:
    board = only(made)
    assert [(row.label, row.rank, row.standing) for row in board.rows] == [
        ("dacs", 1, "ranked"),
        ("fada", 2, "ranked"),
        ("source_only", None, "control"),
    ]
    assert [(row.label, row.rank, row.standing, row.variant) for row in board.variants] == [
        ("minent", None, "variant", "1 of 3 seeds"),
        ("fada (iterations=9000)", None, "variant", "changed settings"),
        ("dacs (pseudo_threshold=0.9)", None, "variant", "changed settings"),
    ]


def test_dials_of_the_world_are_no_settings_of_a_method(record: Maker) -> None:
    board = only(
        [
            record("dacs", overrides={"minicity.gap": 0.5}),
            record("fada", overrides={"minicity": {"gap": 0.5}}),
        ]
    )
    assert len(board.ranked) == 2 and not board.variants


def test_a_method_has_one_default_row_which_its_score_does_not_choose(record: Maker) -> None:
    versions = [
        record("dacs", 50.0, method_version=1, group_hash="a" * 64, job_hash="a" * 64),
        record("dacs", 40.0),
    ]
    newer = versions[1].model_copy(update={"method_version": 2})
    board = only([versions[0], newer])
    assert [row.first.method_version for row in board.rows] == [2]
    (variant,) = board.variants
    assert variant.variant == "another row of the method has its default settings"
    more = [record("dacs", 30.0 + seed, seed, method_version=2) for seed in range(2)]
    other = record("dacs", 99.0, method_version=2, group_hash="b" * 64, job_hash="b" * 64)
    assert [len(row.seeds) for row in only([*more, other]).rows] == [2]


def test_a_precision_is_a_row_and_a_column_of_its_own(record: Maker) -> None:
    """It is no changed setting; where both are there, float32 has the place, whatever it scores."""
    other = {"precision": "bf16", "group_hash": "b" * 64, "job_hash": "b" * 64}
    whole, short = record("dacs", 40.0), record("dacs", 50.0, **other)
    assert [row.label for row in only([short]).ranked] == ["dacs"]
    board = only([short, whole])
    assert [row.label for row in board.ranked] == ["dacs (float32)"]
    assert [row.label for row in board.variants] == ["dacs (bf16)"]
    assert [line["precision"] for line in csv.DictReader(io.StringIO(render_csv([short, whole])))] == [
        "",
        "bf16",
    ]
    assert "| precision" in render_markdown([short]) and "precision" not in render_markdown([whole])


def test_compiled_runs_are_a_row_that_says_what_was_not(record: Maker) -> None:
    def compiled(seed: int, *uncompiled: str) -> Record:
        parts = {"a", "b"} - set(uncompiled)
        found = Compilation(compiled=sorted(parts), uncompiled=sorted(uncompiled))
        return record("dacs", 50.0, seed, compilation=found, group_hash="b" * 64, job_hash=f"{seed:064}")

    usual = record("dacs", 40.0)
    board = only([compiled(0), usual])
    assert [row.label for row in board.ranked] == ["dacs (uncompiled)"]
    assert [row.label for row in board.variants] == ["dacs (compiled)"]
    for more, said in (((), "yes"), (("b",), "but for b"), (("a", "b"), "no")):
        (line,) = csv.DictReader(io.StringIO(render_csv([compiled(0), compiled(1, *more)])))
        assert line["compiled"] == said
    assert "| compiled" in render_markdown([compiled(0)]) and "compiled" not in render_markdown([usual])


def test_steps_in_parts_are_a_row_that_says_in_how_many(record: Maker) -> None:
    usual = record("dacs", 40.0)
    parts = record("dacs", 50.0, accumulate=2, group_hash="b" * 64, job_hash="b" * 64)
    board = only([parts, usual])
    assert [row.label for row in board.ranked] == ["dacs (whole steps)"]
    assert [row.label for row in board.variants] == ["dacs (steps in 2 parts)"]
    assert [line["accumulate"] for line in csv.DictReader(io.StringIO(render_csv([parts, usual])))] == [
        "",
        "2",
    ]
    assert "| parts of a step" in render_markdown([parts]) and "parts of" not in render_markdown([usual])


def test_changed_controls_are_variants_too(record: Maker) -> None:
    changed = {"tags": ("oracle",), "overrides": {"network": "mit-b0"}}
    board = only([record("oracle", tags=("oracle",)), record("oracle", **changed), record("dacs")])
    assert [(row.standing, row.variant) for row in board.variants] == [("oracle", "changed settings")]


def test_a_board_of_variants_alone_ranks_nothing(record: Maker) -> None:
    records = [record("dacs", overrides={"learning_rate": 1e-3})]
    board = only(records)
    assert not board.rows and not board.ranked and len(board.variants) == 1
    assert VARIANTS_TITLE in render_markdown(records) and "**40.0**" not in render_markdown(records)
    assert r"\textbf" not in render_latex(records) and "Variants, without a place" in render_latex(records)


def test_markdown_has_a_second_table_without_bold(made: list[Record]) -> None:
    first, second = render_markdown(made).split(f"**{VARIANTS_TITLE}**")
    assert "**41.0 ± 1.0**" in first and "minent" not in first and "why no place" not in first
    table = second.split("IoU per class")[0]
    assert "minent" in table and "1 of 3 seeds" in table and "**" not in table
    assert main_tables(only(made))[1] == f"**{VARIANTS_TITLE}**"


def test_latex_has_a_second_table_without_bold(made: list[Record]) -> None:
    tables = render_latex(made).split(r"\begin{table*}")[1:]
    assert ["minent" in table for table in tables] == [False, False, True]
    assert r"\textbf{41.0" in tables[0] and r"\textbf" not in tables[2] and "1 of 3 seeds" in tables[2]


def test_csv_and_json_say_why(made: list[Record]) -> None:
    lines = {line["label"]: line for line in csv.DictReader(io.StringIO(render_csv(made)))}
    assert (lines["dacs"]["rank"], lines["dacs"]["variant"], lines["dacs"]["standing"]) == ("1", "", "ranked")
    assert (lines["minent"]["rank"], lines["minent"]["variant"]) == ("variant", "1 of 3 seeds")
    (board,) = to_json(made)
    assert [row["label"] for row in board["rows"]] == ["dacs", "fada", "source_only"]
    assert [row["method"] for row in board["variants"]] == ["minent", "fada", "dacs"]
    assert {row["rank"] for row in board["variants"]} == {"variant"}


def test_the_terminal_shows_them_below(made: list[Record]) -> None:
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(leaderboard_table(only(made)))
    text = console.export_text()
    assert text.index("source_only") < text.index("minent") and "1 of 3 seeds" in text


def test_only_what_may_be_ranked_is_tested(record: Maker) -> None:
    changed = {"overrides": {"learning_rate": 1e-3}}
    records = [
        *(record("dacs", 40.0 + seed, seed) for seed in range(5)),
        *(record("fada", 30.0 + seed, seed) for seed in range(5)),
        *(record("fada", 50.0 + seed, seed, **changed) for seed in range(5)),
    ]
    board = only(records)
    assert [row.label for row in candidates(board)] == ["dacs", "fada"]
    assert main_table(board, board.rows).headers.count("rank") == 1
