"""Context: the rows of a board beside committed controls on the same network, where the board has none of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from adaptbench.records import formatting
from adaptbench.reporting.board import Board, Row, Statistic
from adaptbench.reporting.board_columns import GAP, METHOD, NETWORK_NAME
from adaptbench.reporting.columns import Column, fields, mean_and_std, number
from adaptbench.reporting.published.controls import Control
from adaptbench.reporting.standing import gap
from adaptbench.reporting.standing.gap import Network
from adaptbench.reporting.table import Table

TITLE = "Context: committed controls on the same network"
NOTE = (
    "What is marked committed comes from a committed board (results/minicity, results/camvid), made on another machine "
    "with these seeds: it is context, neither tested nor ranked. Gain and gap are taken from the controls of the same "
    "network and start weights."
)


@dataclass(frozen=True)
class End:
    """A control that rows are held against: one of the board, or a committed one."""

    miou: Statistic
    seeds: tuple[int, ...]
    committed: bool

    @classmethod
    def of(cls, control: Control | Row | None, *, committed: bool) -> Self | None:
        """From a line of a committed board, or a row of this one."""
        return None if control is None else cls(control.miou, control.seeds, committed)

    def __float__(self) -> float:
        return self.miou.mean

    def __str__(self) -> str:
        mark = ", committed" if self.committed else ""
        return f"{self.miou}, seeds: {formatting.seed_list(self.seeds)}{mark}"


@dataclass(frozen=True)
class Line:
    """A row of a board and the controls on its network; None where there is none, or several could be meant."""

    row: Row
    floor: End | None
    ceiling: End | None

    @property
    def gain(self) -> float | None:
        """Mean IoU over that of source-only training, points."""
        return None if self.floor is None else self.row.miou.mean - float(self.floor)

    @property
    def gap_closed(self) -> float | None:
        """Percent of the way from source-only training to the oracle."""
        if self.floor is None or self.ceiling is None:
            return None
        return gap.closed(self.row.miou.mean, float(self.floor), float(self.ceiling))


def lines(board: Board, controls: Iterable[Control]) -> list[Line]:
    """The rows on whose network a control is committed that the board lacks, in the order of the board."""
    of_board = (board.benchmark, board.ranking_hash, board.view)
    known = [one for one in controls if (one.benchmark, one.ranking_hash, one.view) == of_board]
    floors, ceilings = _ends(board, known, gap.FLOOR), _ends(board, known, gap.CEILING)
    found = [
        Line(row, floors.get(gap.network_of(row)), ceilings.get(gap.network_of(row)))
        for row in board.finished
    ]
    return [line for line in found if any(end and end.committed for end in (line.floor, line.ceiling))]


def _ends(board: Board, known: Iterable[Control], method: str) -> Mapping[Network, End | None]:
    """A control by network: the board's, or else the committed one."""
    committed = gap.the_only((one.network, one) for one in known if one.method == method)
    own = gap.controls(board, method)
    return {
        **{network: End.of(one, committed=True) for network, one in committed.items()},
        **{network: End.of(one, committed=False) for network, one in own.items()},
    }


def table(board: Board, found: Sequence[Line]) -> Table[Line]:
    """One line per row."""
    columns = [
        *(*fields("row.first", "method", "group_hash"), METHOD, replace(NETWORK_NAME, terminal=110)),
        number(f"mIoU ({board.view})", "row.miou", parts=mean_and_std("miou")),
        *(_end(board, gap.FLOOR, "floor"), _end(board, gap.CEILING, "ceiling")),
        number(f"gain over {gap.FLOOR} (points)", "gain", formatting.signed, "gain"),
        replace(GAP, terminal=0),
    ]
    return Table(columns, found)


def _end(board: Board, method: str, of: str) -> Column[Line]:
    parts = {
        f"{method}_mean": lambda end: end.miou.mean,
        f"{method}_std": lambda end: end.miou.std,
        f"{method}_seeds": lambda end: " ".join(map(str, end.seeds)),
        f"{method}_committed": lambda end: end.committed,
    }
    return number(f"{method} ({board.view})", of, parts=parts, optional=True)


def blocks(board: Board, controls: Iterable[Control]) -> list[str]:
    """The table under its title, in markdown; nothing without lines."""
    found = lines(board, controls)
    return [f"**{TITLE}**", table(board, found).to_markdown(), NOTE] if found else []
