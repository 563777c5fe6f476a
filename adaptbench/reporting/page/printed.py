"""Pages of printed numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from adaptbench.reporting.page import names
from adaptbench.reporting.page.tables import Table, from_cells, heat_map
from adaptbench.reporting.published.published import Paper, Published, Result
from adaptbench.reporting.published.published_board import (
    LEGEND,
    class_cells,
    kind_of,
    papers_of,
    result_cells,
    sections,
)

#: Whose value it is, in a word.
_KINDS = {"main": "by its paper", "reference": "point of reference", "other": "by others"}
_FILTERED = ("network", "training", "kind", "checkpoint")


@dataclass(frozen=True)
class PrintedPage:
    """What the template of a published benchmark shows.

    Attributes:
        tables: one per split and number of classes, each followed by its classes where there are any.
    """

    benchmark: str
    href: str
    legend: str
    tables: tuple[Table, ...]
    papers: tuple[Paper, ...]
    results: int


def printed_pages(published: Published) -> list[PrintedPage]:
    """One page per benchmark with printed numbers."""
    return [_page(published, benchmark) for benchmark in published.benchmarks]


def _page(published: Published, benchmark: str) -> PrintedPage:
    found = sections(published, benchmark)
    tables = [t for i, (view, results) in enumerate(found) for t in _tables(i, view, results)]
    listed = [result for _, results in found for result in results]
    return PrintedPage(
        benchmark,
        names.published_href(benchmark),
        LEGEND,
        tuple(tables),
        tuple(papers_of(listed)),
        len(listed),
    )


def _tables(number: int, view: str, results: Sequence[Result]) -> list[Table]:
    cells = result_cells(results)
    cells = replace(
        cells,
        headers=[*cells.headers, "kind"],
        rows=[[*row, _KINDS[kind_of(r)]] for row, r in zip(cells.rows, results, strict=True)],
    )
    standings = ["ranked" if r.setting in ("uda", "dg") else "control" for r in results]
    main = from_cells(cells, f"values-{number}", f"mIoU, {view}", standings=standings, filtered=_FILTERED)
    classes = class_cells(results)
    if classes is None:
        return [main]
    table = from_cells(classes, f"classes-{number}", f"IoU per class, {view}", filtered=("network",))
    return [main, heat_map(table)]
