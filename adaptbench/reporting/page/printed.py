"""Pages of printed numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adaptbench.reporting.columns import column
from adaptbench.reporting.page import names
from adaptbench.reporting.page.tables import PageTable
from adaptbench.reporting.published import published_board
from adaptbench.reporting.published.facts import Published, Result
from adaptbench.reporting.published.published_board import class_table, kind_of, result_table, round_table
from adaptbench.reporting.table import Table

#: Whose value it is, in a word.
_KINDS = {"main": "by its paper", "reference": "point of reference", "other": "by others"}


def printed_page(published: Published, benchmark: str) -> dict[str, Any]:
    """What the template shows of a benchmark with printed numbers."""
    found = published_board.sections(published, benchmark)
    listed = [result for _, results in found for result in results]
    return {
        "benchmark": benchmark,
        "href": names.published_href(benchmark),
        "legend": published_board.LEGEND,
        "tables": [t for i, (view, results) in enumerate(found) for t in _tables(i, view, results)],
        "papers": published_board.papers_of(listed),
        "results": len(listed),
    }


_KIND = column("kind", lambda result: _KINDS[kind_of(result)], filtered=True)


def _tables(number: int, view: str, results: Sequence[Result]) -> list[PageTable[Result]]:
    main = Table([*result_table(results).columns, _KIND], results)
    classes, rounds = class_table(results), round_table(results)
    return [
        PageTable(main, f"values-{number}", f"mIoU, {view}", _standing),
        *([PageTable(classes, f"classes-{number}", f"IoU per class, {view}")] if classes else []),
        *([PageTable(rounds, f"rounds-{number}", f"mIoU per condition and round, {view}")] if rounds else []),
    ]


def _standing(result: Result) -> str:
    return "ranked" if result.setting in ("uda", "dg", "tta") else "control"
