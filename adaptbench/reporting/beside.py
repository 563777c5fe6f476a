"""Printed values beside reproduced rows: which row of a paper a row of ours repeats, and how far they are apart.

Only rows on official data at full size with unchanged settings have one: a number from a generated world says nothing
about a printed one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adaptbench import plugins
from adaptbench.reporting import words
from adaptbench.reporting.board import Board, Row, view
from adaptbench.reporting.leaderboard import Cells, markdown_table
from adaptbench.reporting.published import Printed, Published, Result
from adaptbench.reporting.published_board import marked, view_of

#: Number of classes of the class sets under which papers print numbers.
_NUM_CLASSES = {"cityscapes19": 19, "cityscapes16": 16, "cityscapes13": 13}
_INTRODUCTION = (
    "Published values beside the rows of this table; the difference is ours minus the printed value:"
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


#: Says whether two values are equivalent, different, or cannot be told apart.
Judge = Callable[[Pair], str]


@dataclass(frozen=True)
class Facts:
    """What is known of printed rows.

    Attributes:
        published: the numbers.
        printed: method and network -> name of the row that its paper prints.
        benchmarks: name of a benchmark -> key of its published numbers.
        judge: compares ours with a printed value; without one there is no column of verdicts.
    """

    published: Published
    printed: Mapping[tuple[str, str], Printed]
    benchmarks: Mapping[str, str]
    judge: Judge | None = None


def gather(published: Published, registry: plugins.Registry, judge: Judge | None = None) -> Facts:
    """Facts from what the plug-ins declare (``printed`` of methods, ``published`` of benchmarks). Imports none."""
    printed = {
        (name, network): Printed(*row)
        for name, plugin in registry.plugins["method"].items()
        for network, row in _mapping(plugin.literals.get("printed")).items()
    }
    keys = {name: plugin.literals.get("published") for name, plugin in registry.plugins["benchmark"].items()}
    return Facts(published, printed, {name: str(key) for name, key in keys.items() if key}, judge)


def _mapping(literal: object) -> dict[str, tuple[str, ...]]:
    """What a method declares; anything of another shape is left to the contract tests."""
    rows = literal if isinstance(literal, Mapping) else {}
    fits = {n: row for n, row in rows.items() if isinstance(row, tuple) and len(row) == len(Printed._fields)}
    return {str(network): tuple(map(str, row)) for network, row in fits.items()}


def pairs(board: Board, facts: Facts) -> list[Pair]:
    """The rows of ``board`` that have a printed counterpart, in the order of the board."""
    if board.data_kind != "official" or board.benchmark not in facts.benchmarks:
        return []
    found = [(row, _counterpart(board, row, facts)) for row in board.rows]
    return [Pair(row, result) for row, result in found if result is not None]


def _counterpart(board: Board, row: Row, facts: Facts) -> Result | None:
    record = row.first
    name = facts.printed.get((record.method, record.network.name))
    changed = set(words.flatten(record.overrides)) - {"network"}
    if name is None or changed or record.profile != "paper":
        return None
    key, split = facts.benchmarks[board.benchmark], board.view.split.partition("/")[2]
    return facts.published.find(name, key, split, _NUM_CLASSES.get(board.view.class_set, 0))


def cells(found: list[Pair], judge: Judge | None) -> Cells:
    """One line per pair; the column of verdicts needs a judge."""
    headers = ["method", "network", f"mIoU ({view(found[0].row.first.scores[0])})", "seeds"]
    headers += [f"published mIoU ({view_of(found[0].result)})", "published seeds", "difference"]
    headers += ["verdict"] if judge else []
    rows = []
    for pair in found:
        result = pair.result
        line = [pair.row.label, pair.row.first.network.name, str(pair.row.miou), str(len(pair.row.seeds))]
        line += [f"{result.printed}{marked(result.miou).removeprefix(result.miou.text)}"]
        line += [words.MISSING if result.n_seeds is None else str(result.n_seeds), f"{pair.difference:+.1f}"]
        line += [judge(pair)] if judge else []
        protocol = [result.protocol.checkpoint, result.protocol.label_size]
        line += [text or words.MISSING for text in protocol]
        rows.append([*line, result.paper.citation, result.miou.source])
    headers += ["published checkpoint", "published label size", "paper", "read in"]
    text = {"method", "network", "verdict", *headers[-4:]}
    numeric = frozenset(j for j, header in enumerate(headers) if header not in text)
    return Cells(headers, rows, frozenset(), numeric)


def markdown_blocks(board: Board, facts: Facts) -> list[str]:
    """The table below a board, or nothing."""
    found = pairs(board, facts)
    return [_INTRODUCTION, markdown_table(cells(found, facts.judge))] if found else []
