"""The page of a board: its protocol, tables, charts and images, ready for the template."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adaptbench.records import formatting
from adaptbench.reporting import averaged, costs
from adaptbench.reporting.board import Board, Row
from adaptbench.reporting.board_columns import Entry
from adaptbench.reporting.columns import column
from adaptbench.reporting.figures.class_figures import where
from adaptbench.reporting.leaderboard import (
    SMOKE_TITLE,
    VARIANTS_TITLE,
    class_table,
    cost_table,
    data_sentence,
    main_table,
)
from adaptbench.reporting.page import charts, curves, names
from adaptbench.reporting.page.charts import Chart, Item
from adaptbench.reporting.page.curves import Metric
from adaptbench.reporting.page.strips import board_strips
from adaptbench.reporting.page.tables import PageTable
from adaptbench.reporting.published import comparison, context, literature
from adaptbench.reporting.published.comparison import Facts
from adaptbench.reporting.standing import significance
from adaptbench.reporting.standing.significance import Significance
from adaptbench.reporting.table import Table

#: Metrics whose curves stand on the page of a board; a run's page has all of them.
_CURVES = ("loss", "acc_seg", "mix.confidence")


def board_page(
    board: Board,
    out: Path,
    folder: Path,
    facts: Facts,
    metrics: Mapping[str, Mapping[str, Metric]],
    found: Significance | None,
) -> dict[str, Any]:
    """What the template shows of one board; its images are written below ``folder``, the page's."""
    slug = names.of_board(board)
    pairs = comparison.pairs(board, facts)
    beside, agreed = context.lines(board, facts.controls), literature.lines(board, facts)
    classes = f"IoU per class in percent, mean over seeds. {where(board)}"
    lowest_seeds = [(row.label, metrics.get(row.first.job_hash, {})) for row in board.finished]
    return {
        "board": board,
        "best": next(iter(board.ranked), None),
        "href": f"board-{slug}.html",
        "sentence": data_sentence(board) or "",
        "protocol": board.protocol.split("; "),
        "significance": significance.sentence(board, found),
        "main": _main(board, board.rows, "leaderboard", where(board), found),
        "classes": _of_entries(class_table(board), "classes", classes),
        "bars": charts.class_bars(board),
        "context": beside and PageTable(context.table(board, beside), "context", context.TITLE),
        "context_note": context.NOTE,
        "agreement": agreed and PageTable(literature.table(agreed), "agreement", literature.TITLE),
        "agreement_note": literature.note(board),
        "introduction": comparison.INTRODUCTION,
        "published": pairs and PageTable(comparison.table(pairs), "published", "Printed values beside ours"),
        "averaged": averaged.sentence(board),
        "variants": _main(board, board.variants, "variants", VARIANTS_TITLE),
        "smoke": _main(board, board.smoke, "smoke", SMOKE_TITLE),
        "costs": _of_entries(cost_table(board), "costs", "Costs, mean over seeds"),
        "scatters": _scatters(board),
        "curves": curves.charts(lowest_seeds, only=_CURVES),
        "strips": board_strips(board, out, folder, slug),
    }


def _main(
    board: Board, rows: Sequence[Row], key: str, caption: str, found: Significance | None = None
) -> PageTable[Entry] | None:
    """The main table; names lead to the first run of their row, and a further column to every one."""

    def links(entry: Entry) -> list[tuple[str, str, str]]:
        records = entry.row.records
        return [(str(r.seed), names.run_href(r), f"{r.method}, seed {r.seed}") for r in records]

    table = main_table(board, rows, found)
    linked = [
        replace(c, href=lambda entry: names.run_href(entry.row.first)) if c.names_line else c
        for c in table.columns
    ]
    runs = column("runs", lambda entry: float(len(entry.row.records)), lambda _: "", links=links)
    return _of_entries(Table([*linked, runs], table.lines), key, caption)


def _of_entries(table: Table[Entry], key: str, caption: str) -> PageTable[Entry] | None:
    return PageTable(table, key, caption, lambda entry: entry.row.standing) if table.lines else None


def _scatters(board: Board) -> list[Chart]:
    shown = (
        ("time", "Training time", lambda r: r.training_seconds, charts.DURATIONS, _round_duration),
        ("memory", "Peak memory", lambda r: r.peak_memory_mib, charts.MEMORIES, formatting.memory),
        (
            "flops",
            "FLOPs per image",
            lambda r: costs.mean(r, "flops"),
            charts.FLOPS,
            lambda f: f"{f / 1e9:g} G",
        ),
        ("energy", "Training energy", lambda r: costs.mean(r, "training_joules"), charts.ENERGIES, _energy),
    )
    found = [
        charts.scatter(key, title, _items(board, cost), f"mIoU ({board.view})", marks, text)
        for key, title, cost, marks, text in shown
    ]
    return [chart for chart in found if chart is not None]


def _round_duration(seconds: float) -> str:
    return formatting.duration(seconds).replace(".0s", "s").replace(" 00s", "").replace(" 00m", "")


def _energy(joules: float) -> str:
    return f"{joules / 3.6e6:g} kWh"


def _items(board: Board, cost: Callable[[Row], float | None]) -> list[Item]:
    """The rows; a cost that is not known is 0."""
    return [
        Item(
            cost=cost(row) or 0.0,
            gain=row.miou.mean,
            label=row.label,
            text=f"{row.label}: mIoU {row.miou} ({len(row.seeds)} seeds), "
            f"{formatting.duration(row.training_seconds)}, {formatting.memory(row.peak_memory_mib)} on {row.devices}",
            standing=row.standing,
            href=names.run_href(row.first),
        )
        for row in board.finished
    ]
