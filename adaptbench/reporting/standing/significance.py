"""Which rows of a board can be told from its best one: what the tests say, and how a page says it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

from adaptbench.records import formatting
from adaptbench.records.average import Average, miou_only
from adaptbench.reporting.board import Board, Row
from adaptbench.statistics.bootstrap import RESAMPLES, bootstrap
from adaptbench.statistics.comparison import SEEDS_NEEDED, pairwise
from adaptbench.statistics.holm import holm
from adaptbench.statistics.student import LEVEL
from adaptbench.statistics.tallies import Floats

_ALL = Average()
HEADER = f"against the best ({SEEDS_NEEDED}+ seeds)"


@dataclass(frozen=True)
class Significance:
    """What the statistics say about the rows of one board.

    Attributes:
        best: group hash of the ranked row with the highest mean among the compared ones.
        p: group hash of every other compared row -> p-value of its difference to the best, corrected by Holm over
            all pairs of compared rows.
    """

    best: str
    p: Mapping[str, float]

    def compared(self, row: Row) -> bool:
        """Whether the row took part."""
        return row.first.group_hash in {self.best, *self.p}

    def distinguishable(self, row: Row) -> bool:
        """Whether the row took part and differs from the best."""
        return self.p.get(row.first.group_hash, 1.0) < 1 - LEVEL


#: What is known about boards: by ranking hash and ranked view.
Significances = Mapping[tuple[str, str], Significance]


def key(board: Board) -> tuple[str, str]:
    """What tells a board from all others."""
    return board.ranking_hash, str(board.view)


def candidates(board: Board) -> list[Row]:
    """The rows that are compared: ranked or control, with enough seeds. None if there is nothing to compare."""
    rows = [row for row in _contenders(board) if len(row.seeds) >= SEEDS_NEEDED]
    return rows if len(rows) > 1 and any(row.standing == "ranked" for row in rows) else []


def compare_rows(
    tallies: Mapping[str, Floats],
    ranked: Collection[str],
    clusters: Sequence[str],
    resamples: int = RESAMPLES,
    average: Average = _ALL,
) -> Significance:
    """Compares all pairs of rows, so that the best need not be known beforehand.

    Tallies are by group hash, at least two, and at least one of them is ``ranked``, that is, may be the best.

    Shape: tallies ``(S, N, 3, C)``; clusters ``(N,)``.
    """
    groups = sorted(tallies)
    replicates = bootstrap(tallies, clusters, partial(miou_only, average=average), resamples)
    table = pairwise([replicates[group] for group in groups])
    pairs = list(combinations(range(len(groups)), 2))
    corrected = dict(zip(pairs, holm([table[i][j].p for i, j in pairs]), strict=True))
    best = max(
        (i for i, group in enumerate(groups) if group in ranked), key=lambda i: replicates[groups[i]].mean[0]
    )
    return Significance(
        best=groups[best],
        p={group: corrected[min(i, best), max(i, best)] for i, group in enumerate(groups) if i != best},
    )


def told(row: Row, board: Board, found: Significance) -> str | None:
    """What a table says about a row; nothing of oracles and smoke runs."""
    if row.standing not in ("ranked", "control"):
        return None
    if row.first.group_hash == found.best:
        return "best mean"
    if not found.compared(row):
        return "not compared"
    p = formatting.p_value(found.p[row.first.group_hash])
    if not found.distinguishable(row):
        return f"not distinguishable ({p})"
    return f"{'better' if row.miou.mean > _best(board, found).miou.mean else 'worse'} ({p})"


def sentence(board: Board, found: Significance | None) -> str:
    """Who wins, or why nobody does; empty where a board ranks nothing."""
    if not board.ranked:
        return ""
    if found is not None:
        others = [row.label for row in _contenders(board) if not found.compared(row)]
        left_out = f" Not compared: {formatting.enumeration(others)}." if others else ""
        return f"{_verdict(board, found)} {_basis(found)}{left_out}"
    reason = (
        "the confusion matrices behind the rows are not there"
        if candidates(board)
        else f"at least {SEEDS_NEEDED} seeds of a ranked row and of another one are needed"
    )
    return f"No winner is declared: {reason}. Bold marks the best mean, no more."


def _verdict(board: Board, found: Significance) -> str:
    best, top = _best(board, found), board.ranked[0]
    if not found.compared(top):
        return f"No winner is declared: {top.label} has the best mean, but was not compared."
    others = [row for row in _contenders(board) if found.compared(row) and row is not best]
    close = [row.label for row in others if not found.distinguishable(row)]
    better = [row.label for row in others if found.distinguishable(row) and row.miou.mean > best.miou.mean]
    if close or better:
        reasons = [f"not distinguishable from {formatting.enumeration(close)}"] if close else []
        reasons += [f"worse than {formatting.enumeration(better)}"] if better else []
        return f"No winner is declared: {best.label} has the best mean of the ranked rows, but is {'; '.join(reasons)}."
    return f"{best.label} is better than every other row that was compared."


def _basis(found: Significance) -> str:
    rows = 1 + len(found.p)
    return (
        f"Compared were the {rows} rows (oracles left out) with at least {SEEDS_NEEDED} seeds: seeds and images "
        f"resampled together, Holm over all {rows * (rows - 1) // 2} pairs at {100 * (1 - LEVEL):.0f} %."
    )


def _contenders(board: Board) -> list[Row]:
    return [row for row in board.rows if row.standing in ("ranked", "control")]


def _best(board: Board, found: Significance) -> Row:
    return next(row for row in board.rows if row.first.group_hash == found.best)
