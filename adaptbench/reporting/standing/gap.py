"""How much of the gap between source-only training and the oracle a row closes, with the same network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, TypeVar

from adaptbench.records import formatting, start
from adaptbench.reporting.board import Board, Row

HEADER = "gap closed"
FLOOR, CEILING = "source_only", "oracle"
EXPLANATION = (
    f"Gap closed: the way from {FLOOR} (0 %) to {CEILING} (100 %) with the same network and start weights."
)

#: Name and pretraining of a network.
Network: TypeAlias = tuple[str, str]
T = TypeVar("T")


def gaps_closed(board: Board) -> dict[str, float]:
    """Percent of the way from source-only training (0) to the oracle (100) in mean IoU, by group hash.

    Both are those with the row's network and start weights, and settings that nobody changed. Rows without them, and
    smoke runs, are left out.
    """
    floors, ceilings = controls(board, FLOOR), controls(board, CEILING)
    found = {}
    for row in board.finished:
        floor, ceiling = floors.get(network_of(row)), ceilings.get(network_of(row))
        if floor is not None and ceiling is not None:
            share = closed(row.miou.mean, floor.miou.mean, ceiling.miou.mean)
            if share is not None:
                found[row.first.group_hash] = share
    return found


def closed(value: float, floor: float, ceiling: float) -> float | None:
    """Percent of the way from ``floor`` to ``ceiling``; None where the ceiling is not the higher one."""
    return 100 * (value - floor) / (ceiling - floor) if ceiling > floor else None


def controls(board: Board, method: str) -> Mapping[Network, Row | None]:
    """The rows of a control with settings that nobody changed, by network; None where several could be meant."""
    plain = [row for row in board.finished if row.first.method == method and not _changed(row)]
    return the_only((network_of(row), row) for row in plain)


def the_only(found: Iterable[tuple[Network, T]]) -> dict[Network, T | None]:
    """What there is of every network; None where there are several."""
    kept: dict[Network, T | None] = {}
    for network, one in found:
        kept[network] = None if network in kept else one
    return kept


def network_of(row: Row) -> Network:
    """Name and pretraining of the network of a row."""
    return row.first.network.name, row.first.network.pretraining


def _changed(row: Row) -> bool:
    """Whether settings were changed beside the network, also one that is given, and the dials that a board shares."""
    keys = formatting.flatten(row.first.overrides)
    return any(key not in ("network", start.KEY) and not key.startswith("minicity.") for key in keys)
