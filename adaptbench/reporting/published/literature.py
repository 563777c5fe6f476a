"""Whether the ranked rows of a board stand in the order that papers print: only orders are compared, no values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from adaptbench.contracts.profiles import PROFILES
from adaptbench.records import formatting
from adaptbench.records.record import Record
from adaptbench.reporting.board import Board, Row
from adaptbench.reporting.columns import column, number
from adaptbench.reporting.published.comparison import Facts, printed_in
from adaptbench.reporting.published.facts import Printed, Published
from adaptbench.reporting.table import Table
from adaptbench.statistics.agreement import DRAWS, Agreement, agreement

TITLE = "Agreement with the literature: Kendall's tau"
#: Fewer methods have no order to speak of.
FEWEST = 3
ALL = "all"
_ONLY_ORDER = "Numbers of a generated world are not compared with printed ones, only their order is. "


class Compared(NamedTuple):
    """A ranked row and the mIoU that is printed for its method, percent."""

    row: Row
    printed: float


@dataclass(frozen=True)
class Line:
    """How far both orders of some rows agree.

    Attributes:
        network: which all of the rows have, or `ALL`.
        rows: best mean first.
    """

    network: str
    rows: tuple[Row, ...]
    agreement: Agreement

    @property
    def interval(self) -> str:
        """In words, where there is none, too."""
        found = self.agreement.interval
        return "none: a row has one seed" if found is None else f"{found.low:.2f} to {found.high:.2f}"

    @property
    def methods(self) -> str:
        """Which were compared, in our order."""
        return ", ".join(row.first.method for row in self.rows)


def lines(board: Board, facts: Facts) -> list[Line]:
    """One line per network, then one over all, with at least three methods that have a printed number."""
    found = _compared(board, facts)
    networks = dict.fromkeys(one.row.first.network.name for one in found)
    groups = {name: [one for one in found if one.row.first.network.name == name] for name in networks}
    made = [_line(name, group) for name, group in (*groups.items(), (ALL, found)) if len(group) >= FEWEST]
    return [line for line in made if line is not None]


def _line(network: str, found: Sequence[Compared]) -> Line | None:
    agreed = agreement([one.row.miou_by_seed for one in found], [one.printed for one in found])
    return None if agreed is None else Line(network, tuple(one.row for one in found), agreed)


def _compared(board: Board, facts: Facts) -> list[Compared]:
    benchmark = board.benchmark.removeprefix("minicity/")
    if benchmark not in facts.benchmarks:
        return []
    named = [(row, printed_name(row.first, facts.published)) for row in board.ranked]
    results = [(row, name and printed_in(facts, name, benchmark, board.view)) for row, name in named]
    return [Compared(row, float(result.miou)) for row, result in results if result]


def printed_name(record: Record, published: Published) -> Printed | None:
    """What papers call the method on the network that the profile replaces by that of the record, or on this one."""
    known = PROFILES.get(record.profile)
    used = known.networks if known else {}
    return next(
        (
            name
            for (method, network), name in published.methods.items()
            if method == record.method and record.network.name in (network, used.get(network))
        ),
        None,
    )


def table(found: Sequence[Line]) -> Table[Line]:
    """One line per network, and one over all."""
    columns = [
        column("network", "network", key="network"),
        number("methods", lambda line: len(line.rows), key="n_methods"),
        number("Kendall's tau-b", "agreement.tau", "{:.2f}".format, "tau"),
        number("95 % interval", "interval"),
        column("compared, best here first", "methods", key="methods"),
    ]
    return Table(columns, found)


def note(board: Board) -> str:
    """What the number means."""
    world = "" if board.data_kind == "official" else _ONLY_ORDER
    return (
        f"Kendall's tau-b between two orders of the same methods, by mean mIoU here ({board.view}) and by the mIoU "
        f"that papers print: 1 is the same order, 0 is none in common, -1 the reverse. {world}Compared are the ranked "
        f"rows with a printed number; the interval is over {DRAWS:,} resamples of the seeds of every row."
    )


def blocks(board: Board, facts: Facts) -> list[str]:
    """The table under its title, in markdown; nothing without lines."""
    found = lines(board, facts)
    return [f"**{TITLE}**", formatting.markdown(note(board)), table(found).to_markdown()] if found else []
