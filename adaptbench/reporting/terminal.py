"""Leaderboards and tables of studies on the terminal."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from adaptbench.reporting.board import Board, Standing
from adaptbench.reporting.leaderboard import Cells, main_cells
from adaptbench.reporting.standing import gap
from adaptbench.reporting.standing.significance import HEADER, Significance
from adaptbench.reporting.studies.study_page import check_cells, variant_cells
from adaptbench.reporting.studies.study_table import StudyTable

_STYLES: dict[Standing, str] = {"ranked": "", "control": "dim", "oracle": "dim", "smoke": "dim italic"}
#: Columns shown if there is room, after the scores on further splits; the most wanted one first.
_OPTIONAL = (
    HEADER,
    "95 % interval",
    gap.HEADER,
    "time",
    "network",
    "iterations",
    "peak memory",
    "device",
    "pretraining",
    "origin",
)
#: Columns of a study that only its page shows.
_NOT_SHOWN = frozenset({"method", "settings", "peak memory", "published memory"})
#: Width from which a text may be folded.
_FOLD = 28


def leaderboard_table(board: Board, width: int | None = None, found: Significance | None = None) -> Table:
    """The main table of ``board`` for rich; smoke runs follow in a section of their own.

    Texts are shown literally: square brackets in a name are not markup.

    Args:
        board: what to show.
        width: columns of the terminal. Table columns that do not fit are left out and named below the
            table; None shows all of them.
        found: what the statistics say about the rows.
    """
    cells = main_cells(board, board.all_rows, found)
    shown = _fitting(cells, width)
    hidden = [header for j, header in enumerate(cells.headers) if j not in shown]
    table = Table(
        title=Text(f"{board.benchmark} · protocol {board.ranking_hash[:8]}"),
        title_justify="left",
        caption=Text(f"no room for: {', '.join(hidden)}") if hidden else None,
        caption_justify="left",
        header_style="bold",
    )
    for j in shown:
        justify: JustifyMethod = "right" if j in cells.numeric else "left"
        table.add_column(Text(_broken(cells.headers[j])), justify=justify, overflow="fold")
    for i, row in enumerate(board.all_rows):
        texts = [Text(cells.rows[i][j], style="bold" if (i, j) in cells.best else "") for j in shown]
        table.add_row(*texts, style=_STYLES[row.standing], end_section=i == len(board.rows) - 1)
    return table


def study_tables(table: StudyTable) -> list[Table]:
    """Variants (their settings are on the page) and checks of a study, for rich."""
    drawn = [plain_table(variant_cells(table), f"{table.study.title} · {table.series.board}", _NOT_SHOWN)]
    return (
        [*drawn, plain_table(check_cells(table), "Checks", frozenset({"difference"}))]
        if table.checks
        else drawn
    )


def plain_table(cells: Cells, title: str, left_out: frozenset[str] = frozenset()) -> Table:
    """Any table for rich, without the columns ``left_out``."""
    drawn = Table(title=Text(title), title_justify="left", header_style="bold")
    shown = [j for j, header in enumerate(cells.headers) if header not in left_out]
    for j in shown:
        justify: JustifyMethod = "right" if j in cells.numeric else "left"
        drawn.add_column(Text(_broken(cells.headers[j])), justify=justify, overflow="fold")
    for row in cells.rows:
        drawn.add_row(*(Text(row[j]) for j in shown))
    return drawn


def _broken(header: str) -> str:
    """A score's header on three lines: quantity, class set, split."""
    return header.replace(" (", "\n(").replace(", ", ",\n")


def _fitting(cells: Cells, width: int | None) -> list[int]:
    """Columns that fit into ``width``; rank, method, score, seeds and settings always stay."""
    everything = range(len(cells.headers))
    if width is None:
        return list(everything)
    further = [j for j in everything if j > 2 and cells.headers[j].startswith("mIoU")]
    optional = [*further, *(cells.headers.index(name) for name in _OPTIONAL if name in cells.headers)]
    shown = [j for j in everything if j not in optional]
    for j in optional:
        if _width(cells, [*shown, j]) <= width:
            shown.append(j)
    return sorted(shown)


def _width(cells: Cells, columns: list[int]) -> int:
    """Width of the drawn table: the longest line of every column, two blanks and a rule; long texts fold."""
    texts = [[*_broken(cells.headers[j]).split("\n"), *(row[j] for row in cells.rows)] for j in columns]
    return 1 + sum(3 + min(_FOLD, max(map(cell_len, column))) for column in texts)
