"""Printed values beside reproduced rows: which row of a paper a row of ours repeats, and how far they are apart.

Only rows on official data at full size with unchanged settings have one: a number from a generated world says nothing
about a printed one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adaptbench.contracts import plugins
from adaptbench.data.taxonomy import CLASS_SETS
from adaptbench.records import formatting
from adaptbench.reporting.board import Board, Row, view
from adaptbench.reporting.leaderboard import Beside, Cells, markdown_table
from adaptbench.reporting.published.published import Published, Result
from adaptbench.reporting.published.published_board import marked, view_of
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
        return self.row.miou.mean - self.result.miou.number

    @property
    def verdict(self) -> str:
        """Whether the two are equivalent, different, or cannot be told apart; the last for a single seed of ours."""
        std = float(self.result.std) if self.result.std else None
        found = against_printed(self.row.miou_by_seed, self.result.miou.number, std, self.result.n_seeds)
        return "cannot tell" if found is None else found.verdict()


@dataclass(frozen=True)
class Facts(Beside):
    """What is known of printed rows.

    Attributes:
        published: the numbers, and which row of them a method's paper prints.
        benchmarks: name of a benchmark -> key of its published numbers.
    """

    published: Published
    benchmarks: Mapping[str, str]

    def blocks(self, board: Board) -> list[str]:
        """The table below a board, or nothing."""
        found = pairs(board, self)
        return [INTRODUCTION, markdown_table(cells(found))] if found else []

    def columns(self, board: Board, row: Row) -> dict[str, object]:
        """What a CSV says of a row; empty where it has no printed counterpart."""
        result = _counterpart(board, row, self)
        pair = None if result is None else Pair(row, result)
        return {
            "published_miou": pair and pair.result.miou.text,
            "published_std": pair and pair.result.std,
            "published_seeds": pair and pair.result.n_seeds,
            "published_sources": pair and pair.result.miou.verified,
            "difference": pair and pair.difference,
            "verdict": pair and pair.verdict,
            "paper": pair and pair.result.paper.citation,
            "read_in": pair and pair.result.miou.source,
        }


def gather(published: Published, registry: plugins.Registry) -> Facts:
    """Facts from the published numbers and what benchmarks declare (``published``). Imports no plug-in."""
    keys = {name: plugin.literals.get("published") for name, plugin in registry.plugins["benchmark"].items()}
    return Facts(published, {name: str(key) for name, key in keys.items() if key})


def pairs(board: Board, facts: Facts) -> list[Pair]:
    """The rows of ``board`` that have a printed counterpart, in the order of the board."""
    found = [(row, _counterpart(board, row, facts)) for row in board.rows]
    return [Pair(row, result) for row, result in found if result is not None]


def _counterpart(board: Board, row: Row, facts: Facts) -> Result | None:
    if board.data_kind != "official" or board.benchmark not in facts.benchmarks:
        return None
    record = row.first
    name = facts.published.methods.get((record.method, record.network.name))
    changed = set(formatting.flatten(record.overrides)) - {"network"}
    if name is None or changed or record.profile != "paper":
        return None
    key, split = facts.benchmarks[board.benchmark], board.view.split.partition("/")[2]
    return facts.published.find(name, key, split, _NUM_CLASSES.get(board.view.class_set, 0))


def cells(found: list[Pair]) -> Cells:
    """One line per pair, at least one."""
    headers = ["method", "network", f"mIoU ({view(found[0].row.first.scores[0])})", "seeds"]
    headers += [f"published mIoU ({view_of(found[0].result)})", "published seeds", "difference", "verdict"]
    headers += ["published checkpoint", "published label size", "paper", "read in"]
    text = {"method", "network", *headers[-5:]}
    numeric = frozenset(j for j, header in enumerate(headers) if header not in text)
    return Cells(headers, [_line(pair) for pair in found], frozenset(), numeric)


def _line(pair: Pair) -> list[str]:
    row, result = pair.row, pair.result
    seeds = formatting.MISSING if result.n_seeds is None else str(result.n_seeds)
    return [
        row.label,
        row.first.network.name,
        str(row.miou),
        str(len(row.seeds)),
        printed_of(result),
        seeds,
        formatting.signed(pair.difference),
        pair.verdict,
        *(text or formatting.MISSING for text in (result.protocol.checkpoint, result.protocol.label_size)),
        result.paper.citation,
        result.miou.source,
    ]


def printed_of(result: Result) -> str:
    """The mIoU as printed, with its standard deviation, and marked where a single source prints it."""
    return f"{result.printed}{marked(result.miou).removeprefix(result.miou.text)}"
