"""Printed values beside reproduced rows: which row of a paper a row of ours repeats, and how far they are apart.

Only rows on official data at full size with unchanged settings have one: a number from a generated world says nothing
about a printed one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from adaptbench.contracts import plugins
from adaptbench.data.taxonomy import CLASS_SETS
from adaptbench.records import formatting
from adaptbench.reporting.board import Board, Row, View, view
from adaptbench.reporting.board_columns import METHOD, NETWORK_NAME, SEED_COUNT, Entry
from adaptbench.reporting.columns import Column, column, number
from adaptbench.reporting.published.controls import Control
from adaptbench.reporting.published.facts import Printed, Published, Result
from adaptbench.reporting.published.published_board import view_of
from adaptbench.reporting.table import Table
from adaptbench.statistics.equivalence import MARGIN
from adaptbench.statistics.printed import against_printed

#: Number of classes of the class sets under which papers print numbers.
_NUM_CLASSES = {name: len(found.averaged or found.classes) for name, found in CLASS_SETS.items()}
INTRODUCTION = (
    "Published values beside the rows of this table; the difference is ours minus the printed value. The verdict "
    f"is that of an equivalence test with a margin of {MARGIN:.1f} points; where no standard deviation is printed, "
    "the printed training is taken to vary from seed to seed as ours does."
)


@dataclass(frozen=True)
class Pair:
    """A row of ours, and what was printed for the same method, network, benchmark, split and classes."""

    row: Row
    result: Result

    @property
    def difference(self) -> float:
        """Ours minus the printed mIoU, points."""
        return self.row.miou.mean - float(self.result.miou)

    @property
    def verdict(self) -> str:
        """Whether the two are equivalent, different, or cannot be told apart; the last for a single seed of ours."""
        std = float(self.result.std) if self.result.std else None
        found = against_printed(self.row.miou_by_seed, float(self.result.miou), std, self.result.n_seeds)
        return "cannot tell" if found is None else found.verdict()


@dataclass(frozen=True)
class Facts:
    """What was not measured here: printed rows, and controls of the committed boards.

    Attributes:
        benchmarks: name of a benchmark -> key under which its numbers are published.
    """

    published: Published
    benchmarks: Mapping[str, str]
    controls: tuple[Control, ...] = ()

    def blocks(self, board: Board) -> list[str]:
        """The table below a board, or nothing."""
        found = pairs(board, self)
        return [INTRODUCTION, table(found).to_markdown()] if found else []

    def columns(self) -> list[Column[Entry]]:
        """What a CSV says of a row; empty where it has no printed counterpart."""
        parts = {
            "published_miou": attrgetter("result.miou.text"),
            "published_std": attrgetter("result.std"),
            "published_seeds": attrgetter("result.n_seeds"),
            "published_sources": attrgetter("result.miou.verified"),
            "difference": attrgetter("difference"),
            "verdict": attrgetter("verdict"),
            "paper": attrgetter("result.paper.citation"),
            "read_in": attrgetter("result.miou.source"),
        }
        return [
            Column("", lambda e: pair_of(e.board, e.row, self) if e.is_ranked_view else None, parts=parts)
        ]


def gather(published: Published, registry: plugins.Registry, controls: tuple[Control, ...] = ()) -> Facts:
    """Facts from the published numbers and what benchmarks declare (``published``). Imports no plug-in."""
    keys = {name: plugin.literals.get("published") for name, plugin in registry.plugins["benchmark"].items()}
    return Facts(published, {name: str(key) for name, key in keys.items() if key}, controls)


def pairs(board: Board, facts: Facts) -> list[Pair]:
    """The rows of ``board`` that have a printed counterpart, in the order of the board."""
    return [pair for row in board.finished if (pair := pair_of(board, row, facts)) is not None]


def pair_of(board: Board, row: Row, facts: Facts) -> Pair | None:
    """A row and its printed counterpart; None where it has none."""
    if board.data_kind != "official" or board.benchmark not in facts.benchmarks:
        return None
    record = row.first
    name = facts.published.methods.get((record.method, record.network.name))
    changed = set(formatting.flatten(record.overrides)) - {"network"}
    if name is None or changed or record.profile != "paper":
        return None
    result = printed_in(facts, name, board.benchmark, board.view)
    return None if result is None else Pair(row, result)


def printed_in(facts: Facts, name: Printed, benchmark: str, of: View) -> Result | None:
    """The row called ``name`` of a benchmark that has printed numbers, for the split and the classes of a view."""
    split, classes = of.split.partition("/")[2], _NUM_CLASSES.get(of.class_set, 0)
    return facts.published.find(name, facts.benchmarks[benchmark], split, classes)


_PRINTED = number(
    "published",
    "result",
    lambda result: f"{result.printed}{result.miou.mark}",
    number=lambda result: float(result.miou),
)
_OURS = number("ours", "row.miou")
_VERDICT = [number("difference", "difference", formatting.signed), column("verdict", "verdict")]
_PAPER = column("paper", "result.paper.citation")


def table(found: Sequence[Pair]) -> Table[Pair]:
    """One line per pair, at least one."""
    scored, printed = view(found[0].row.first.scores[0]), view_of(found[0].result)
    columns = [
        *(METHOD, NETWORK_NAME, replace(_OURS, header=f"mIoU ({scored})"), SEED_COUNT),
        replace(_PRINTED, header=f"published mIoU ({printed})"),
        *(number("published seeds", "result.n_seeds"), *_VERDICT),
        column("published checkpoint", lambda pair: pair.result.protocol.checkpoint or None),
        column("published label size", lambda pair: pair.result.protocol.label_size or None),
        *(_PAPER, column("read in", "result.miou.source")),
    ]
    return Table(columns, found)


def short_table(found: Sequence[Pair]) -> Table[Pair]:
    """The same for print."""
    return Table([METHOD, NETWORK_NAME, _OURS, SEED_COUNT, _PRINTED, *_VERDICT, _PAPER], found)
