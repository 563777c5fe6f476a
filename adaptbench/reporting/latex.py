"""Leaderboards as LaTeX tables (booktabs): best ranked row in bold, second underlined; same records, same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from adaptbench.records import formatting
from adaptbench.records.record import Record
from adaptbench.reporting import averaged
from adaptbench.reporting.board import Board, Row, boards
from adaptbench.reporting.board_columns import (
    GAP,
    METHOD,
    NETWORK_NAME,
    SEED_COUNT,
    WHY,
    class_iou,
    entries,
    miou,
)
from adaptbench.reporting.columns import Column
from adaptbench.reporting.leaderboard import data_sentence
from adaptbench.reporting.published.comparison import Facts, pairs, short_table
from adaptbench.reporting.standing import gap
from adaptbench.reporting.table import Table
from adaptbench.statistics.equivalence import MARGIN

_HEADER = (
    "% Needs \\usepackage{booktabs,graphicx}. Written by `python run_all.py report`; changes are lost.\n"
)

#: Around a table that is wider than the text, and only then.
_SHRINK = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
#: Headers of more columns than this stand upright.
_MOST_LEVEL = 3

#: The origin of rows that need no mark.
_OURS = "maintainer"


def render_latex(records: Iterable[Record], facts: Facts | None = None) -> str:
    """Tables of every board: mIoU of every split, IoU per class, and printed values beside ours where there are any.

    Smoke runs are left out.
    """
    found = [board for board in boards(records) if board.finished]
    return "\n".join([_HEADER, *(table for board in found for table in _tables(board, facts))])


def _tables(board: Board, facts: Facts | None) -> list[str]:
    lines, legend = entries(board, board.rows), _legend(board)
    variants = entries(board, board.variants)
    images = f"{board.images} images of {board.view.split}. {legend}"
    closed = any(line.gap_closed is not None for line in lines)
    described = [replace(METHOD, value=lambda line: _method(line.row)), NETWORK_NAME, SEED_COUNT]
    scores = [replace(miou(board), header=board.view.split), GAP]
    for view in board.further:  # with its class set where that is not the one in the caption
        header = view.split if view.class_set == board.view.class_set else str(view)
        scores.append(replace(miou(board, view), header=header))
    said = f"mIoU in percent ({board.view.class_set}), mean and standard deviation (n-1) over seeds. {images}"
    classes = f"IoU per class ({board.view}) in percent, mean over seeds. {images}"
    found = pairs(board, facts) if facts else []
    printed = (
        f"published values beside ours, mIoU in percent ({board.view}). Verdict: equivalence test "
        f"with a margin of {MARGIN:.1f} points. \u2020 marks a value that a single source prints."
    )
    said += f" {gap.EXPLANATION}" if closed else ""
    of_classes = list(map(class_iou, board.classes))
    floats = []
    if lines:
        floats += [_float(board, "miou", said, _scored(described, scores, lines))]
        floats += [_float(board, "class", classes, _scored(described, of_classes, lines))]
    if variants:
        why = f"Variants, without a place. {said}"
        floats += [_float(board, "variants", why, _scored(described, [*scores, WHY], variants))]
    return [*floats, *([_float(board, "published", printed, short_table(found).to_latex())] if found else [])]


def _scored(described: list[Column[Any]], scores: list[Column[Any]], lines: list[Any]) -> str:
    """A table of scores; if there are many, their headers stand upright."""
    shown = len(Table(scores, lines).shown)
    return Table([*described, *scores], lines).to_latex(len(described) if shown > _MOST_LEVEL else None)


def _float(board: Board, name: str, caption: str, tabular: str) -> str:
    """A table with its caption, which is escaped here."""
    label = f"tab:{board.benchmark}-{board.ranking_hash[:8]}-{name}".replace("/", "-")
    return "\n".join(
        [
            r"\begin{table*}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\belowcaptionskip}{4pt}",
            rf"\caption{{{formatting.latex(f'{board.title}: {caption}')}}}",
            rf"\label{{{''.join(c for c in label if c.isalnum() or c in ':-')}}}",
            _SHRINK,
            tabular.strip() + "}",
            r"\end{table*}",
            "",
        ]
    )


def _legend(board: Board) -> str:
    """What a caption must say of the marks, of the protocol and of the data."""
    marks = "Bold: best ranked row, underlined: second; rows marked control or oracle are not ranked."
    if any(row.origin != _OURS for row in board.finished):
        marks += (
            " Rows marked submitted were run by others; their scores were recomputed from confusion matrices."
        )
    protocol = f"Not comparable with the first protocol: {board.departs}." if board.departs else None
    return " ".join(filter(None, [marks, averaged.sentence(board), protocol, data_sentence(board)]))


def _method(row: Row) -> str:
    marks = [row.standing] * (row.standing != "ranked") + [row.origin] * (row.origin != _OURS)
    return row.label + (f" [{', '.join(marks)}]" if marks else "")
