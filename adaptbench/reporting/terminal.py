"""Leaderboards and tables of studies on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from adaptbench.reporting.board import Board, Standing
from adaptbench.reporting.leaderboard import main_table
from adaptbench.reporting.published import context
from adaptbench.reporting.published.controls import Control
from adaptbench.reporting.standing.significance import Significance
from adaptbench.reporting.studies.study_page import check_table, variant_table
from adaptbench.reporting.studies.study_table import StudyTable

_STYLES: dict[Standing, str] = {
    "ranked": "",
    "variant": "",
    "control": "dim",
    "oracle": "dim",
    "smoke": "dim italic",
}


def leaderboard_table(board: Board, width: int | None = None, found: Significance | None = None) -> Table:
    """The main table of ``board`` for rich; variants and smoke runs follow in sections of their own."""
    ends = [part[-1] for part in (board.rows, board.variants) if part]
    return main_table(board, board.all_rows, found).to_rich(
        f"{board.benchmark} · protocol {board.ranking_hash[:8]}",
        width,
        style=lambda entry: _STYLES[entry.row.standing],
        ends_section=lambda entry: any(entry.row is end for end in ends),
    )


def context_table(board: Board, controls: Iterable[Control], width: int | None = None) -> Table | None:
    """The rows of ``board`` beside committed controls, for rich; None where none is of use."""
    found = context.lines(board, controls)
    return context.table(board, found).to_rich(context.TITLE, width) if found else None


def study_tables(table: StudyTable) -> list[Table]:
    """Variants (their settings are on the page) and checks of a study, for rich."""
    drawn = [variant_table(table).to_rich(f"{table.study.title} · {table.series.board}")]
    return [*drawn, check_table(table).to_rich("Checks")] if table.checks else drawn
