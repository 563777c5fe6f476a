"""How much of the gap between source-only training and the oracle a row closes, with the same network."""

from __future__ import annotations

from adaptbench.records import formatting
from adaptbench.reporting.board import Board, Row

HEADER = "gap closed"
_FLOOR, _CEILING = "source_only", "oracle"
EXPLANATION = (
    f"Gap closed: the way from {_FLOOR} (0 %) to {_CEILING} (100 %) with the same network and start weights."
)

#: Name and pretraining of a network.
_Network = tuple[str, str]


def gaps_closed(board: Board) -> dict[str, float]:
    """Percent of the way from source-only training (0) to the oracle (100) in mean IoU, by group hash.

    Both are those with the row's network and start weights, and settings that nobody changed. Rows without them, and
    smoke runs, are left out.
    """
    floors, ceilings = _ends(board, _FLOOR), _ends(board, _CEILING)
    found = {}
    for row in board.finished:
        floor, ceiling = floors.get(_network(row)), ceilings.get(_network(row))
        if floor is not None and ceiling is not None and ceiling > floor:
            found[row.first.group_hash] = 100 * (row.miou.mean - floor) / (ceiling - floor)
    return found


def _ends(board: Board, method: str) -> dict[_Network, float]:
    """Mean IoU of a control by network; nothing where several rows could be meant."""
    plain = [row for row in board.finished if row.first.method == method and not _changed(row)]
    networks = [_network(row) for row in plain]
    return {_network(row): row.miou.mean for row in plain if networks.count(_network(row)) == 1}


def _network(row: Row) -> _Network:
    return row.first.network.name, row.first.network.pretraining


def _changed(row: Row) -> bool:
    """Whether settings were changed beside the network and the dials of the generated world, which a board shares."""
    keys = formatting.flatten(row.first.overrides)
    return any(key != "network" and not key.startswith("minicity.") for key in keys)
