"""How much of the gap between source-only training and the oracle a row closes, with the same network."""

from __future__ import annotations

from adaptbench.reporting import words
from adaptbench.reporting.board import Board, Row

HEADER = "gap closed"
_FLOOR, _CEILING = "source_only", "oracle"


def gap_closed(board: Board, row: Row) -> float | None:
    """Percent of the way from source-only training (0) to the oracle (100) in mean IoU; None where one is missing.

    Both are those with the row's network and start weights, and settings of their own; a smoke run has none.
    """
    floor, ceiling = _reference(board, row, _FLOOR), _reference(board, row, _CEILING)
    if row.standing == "smoke" or floor is None or ceiling is None or ceiling <= floor:
        return None
    return 100 * (row.miou.mean - floor) / (ceiling - floor)


def cell(board: Board, row: Row) -> str:
    """The same in words: ``43 %``."""
    closed = gap_closed(board, row)
    return words.MISSING if closed is None else f"{closed:.0f} %"


def _reference(board: Board, row: Row, method: str) -> float | None:
    """Mean IoU of the control called ``method`` with the network of ``row``, as nobody changed its settings."""
    network = (row.first.network.name, row.first.network.pretraining)
    found = [
        other.miou.mean
        for other in board.rows
        if other.first.method == method
        and (other.first.network.name, other.first.network.pretraining) == network
        and not set(words.flatten(other.first.overrides)) - {"network"} - _world(other)
    ]
    return found[0] if len(found) == 1 else None


def _world(row: Row) -> set[str]:
    """Dials of the generated world; all rows of a board share them."""
    return {key for key in words.flatten(row.first.overrides) if key.startswith("minicity.")}
