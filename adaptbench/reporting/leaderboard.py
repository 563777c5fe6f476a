"""Leaderboards as markdown and CSV: the same records give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from adaptbench.data.taxonomy import CLASS_SETS
from adaptbench.records import formatting
from adaptbench.records.documents import Unreadable
from adaptbench.records.record import Record
from adaptbench.reporting import averaged, costs, streams
from adaptbench.reporting.board import Board, Row, boards
from adaptbench.reporting.board_columns import (
    METHOD,
    NETWORK_NAME,
    RANK,
    Entry,
    class_iou,
    entries,
    entries_of_all_views,
    machine_columns,
    main_columns,
)
from adaptbench.reporting.published import context, literature
from adaptbench.reporting.published.comparison import Facts
from adaptbench.reporting.standing import significance
from adaptbench.reporting.standing.significance import Significance, Significances
from adaptbench.reporting.table import Table, write_with_csv

NO_RUNS = (
    "No finished runs yet. Start some with "
    "`python run_all.py --methods source_only dacs oracle`, then call `python run_all.py report` again."
)

VARIANTS_TITLE = "Variants: changed settings or budgets, or fewer seeds; without a place"
SMOKE_TITLE = "Smoke runs (--limit): not ranked"

_PAGE_NOTES = {
    "generated": (
        "All numbers on this page come from MiniCity, a generated world: they say how mechanisms work, "
        "not how methods score on real streets."
    ),
    "mixed": (
        "Numbers on this page come wholly or in part from MiniCity, a generated world; "
        "the line under each heading says how."
    ),
}
_LEGEND = (
    "mIoU and IoU in percent: mean over seeds ± standard deviation (n-1) from two seeds on, then the t interval "
    "of that mean over seeds. Rows are ranked only under one protocol, by the mean, and only with the default "
    "settings of their method and as many seeds as the most complete such row, one per method; all others are "
    "variants and have no place. The order is no test of "
    "significance, which the column `against the best` and the line below the table are: seeds and images are "
    "resampled together, and below 5 seeds nothing is claimed. `control` rows are points "
    "of reference and `oracle` rows were trained with target labels: neither is ranked. `gap closed` is the way from "
    "`source_only` (0 %) to `oracle` (100 %) with the same network. Settings are "
    "`published` for the pair of benchmark and network or `transferred` from another one, followed by "
    "what the user changed. Time is the mean training time, memory the highest peak of any seed "
    "(resident on CPU, allocated on GPU)."
)


def main_table(board: Board, rows: Sequence[Row], found: Significance | None = None) -> Table[Entry]:
    """The main table of these rows of a board."""
    return Table(main_columns(board), entries(board, rows, found))


def main_tables(board: Board, found: Significance | None = None) -> list[str]:
    """The main table, then those of variants and of smoke runs under their titles, in markdown; none without rows."""
    shown = (("", board.rows), (VARIANTS_TITLE, board.variants), (SMOKE_TITLE, board.smoke))
    blocks = []
    for title, rows in shown:
        if rows:
            blocks += [f"**{title}**"] if title else []
            blocks += [main_table(board, rows, found).to_markdown()]
    return blocks


def class_table(board: Board) -> Table[Entry]:
    """The second table: IoU per class in the ranked view, mean over seeds."""
    return Table([RANK, METHOD, *map(class_iou, board.classes)], entries(board, board.finished))


def cost_table(board: Board) -> Table[Entry]:
    """The third table: what the rows cost."""
    return Table([METHOD, NETWORK_NAME, *costs.COLUMNS], entries(board, board.finished))


def machine_table(
    found: Sequence[Board],
    tests: Significances | None = None,
    facts: Facts | None = None,
    rows: Callable[[Board], Sequence[Row]] = attrgetter("all_rows"),
) -> Table[Entry]:
    """Everything the page shows and more: one line per group of seeds and split scored; all ``rows`` of a board.

    Columns ``iou:<class>`` and ``iou_std:<class>`` hold the union of all class sets; a class that a line's
    class set lacks, or that does not occur, is empty. ``ranked_split`` marks the line that decides the rank;
    ``p_best`` is the corrected p-value of the difference to the best row, where it was tested.
    """
    tested = [(board, (tests or {}).get(significance.key(board))) for board in found]
    lines = [entry for board, result in tested for entry in entries_of_all_views(board, rows(board), result)]
    scores = [score for board in found for record in board.records for score in record.scores]
    classes = list(dict.fromkeys(name for score in scores for name in score.iou))
    of_streams = next((more for board in found if (more := streams.columns(board))), [])
    return Table([*machine_columns(classes), *of_streams, *(facts.columns() if facts else [])], lines)


def data_sentence(board: Board) -> str | None:
    """What a reader must know about the data of ``board``; None where all of it is official."""
    if board.data_kind == "generated":
        return _PAGE_NOTES["generated"].replace("on this page", "of this board")
    if board.data_kind == "official":
        return None
    generated = formatting.enumeration(board.datasets("generated")) or "the rest"
    official = formatting.enumeration(board.datasets("official"))
    scored = board.all_rows[0].first.scores[0].provenance
    if scored == "official":
        return (
            f"Generated source, real target: {generated} comes from MiniCity, a generated world; {official} "
            f"and the images scored ({board.view.split}) are real photographs. The numbers hold for this "
            "generated source and do not compare with published ones."
        )
    return (
        f"{generated} comes from MiniCity, a generated world, {official} is real; the images scored "
        f"({board.view.split}) are generated: the numbers do not say how methods score on real streets."
    )


def render_markdown(
    records: Iterable[Record],
    unreadable: Sequence[Unreadable] = (),
    tests: Significances | None = None,
    facts: Facts | None = None,
) -> str:
    """The page: for every board its protocol in words, the main table and the table of classes.

    Printed numbers (``facts``) stand beside ours; record files that could not be read are listed at the end.
    """
    found = boards(records)
    blocks = ["# Leaderboard"]
    if not found:
        blocks.append(NO_RUNS)
    kinds = {board.data_kind for board in found}
    if kinds - {"official"}:
        blocks.append(_PAGE_NOTES["generated" if kinds == {"generated"} else "mixed"])
    for _, group in groupby(found, key=lambda board: board.benchmark):
        say_data = kinds != {"generated"}
        blocks += _benchmark_blocks(list(group), found, tests or {}, facts, say_data=say_data)
    if found:
        blocks += ["## How to read this page", _LEGEND]
    if unreadable:
        blocks += ["## Left out: records that could not be read"]
        blocks += [formatting.bullets(problem.reason for problem in unreadable)]
    return "\n\n".join(blocks) + "\n"


def _benchmark_blocks(
    group: Sequence[Board],
    everything: Sequence[Board],
    tests: Significances,
    facts: Facts | None,
    say_data: bool,
) -> list[str]:
    first = group[0]
    blocks = [f"## {formatting.markdown(first.benchmark)}", formatting.markdown(first.title)]
    for number, board in enumerate(group, start=1):
        if len(group) > 1:
            blocks.append(f"### Protocol {number} of {len(group)}")
        if number > 1:
            departs = board.departs or "the ranking hash differs, for a reason its records do not name"
            blocks.append(f"Not comparable with protocol 1: {formatting.markdown(departs)}.")
        sentence = data_sentence(board)
        if say_data and sentence and (number == 1 or sentence != data_sentence(first)):
            blocks.append(formatting.markdown(sentence))
        blocks += _board_blocks(board, everything, tests.get(significance.key(board)), facts)
    return blocks


def _board_blocks(
    board: Board, everything: Sequence[Board], found: Significance | None, facts: Facts | None
) -> list[str]:
    known = CLASS_SETS.get(board.view.class_set)
    classes = known.size if known else f"{len(board.classes)} classes"
    blocks = [
        f"Scored on {streams.images(board)} of {formatting.markdown(board.view.split)} in "
        f"{classes} ({formatting.markdown(board.view.class_set)}). "
        f"Protocol `{board.ranking_hash[:8]}`: {formatting.markdown(board.protocol)}.",
        formatting.markdown(averaged.sentence(board)),
    ]
    if board.rows:
        blocks += [main_table(board, board.rows, found).to_markdown()]
        said = significance.sentence(board, found)
        blocks += [formatting.markdown(said)] if said else []
    blocks += streams.blocks(board, everything)
    blocks += context.blocks(board, facts.controls) if facts else []
    if board.variants:
        blocks += [f"**{VARIANTS_TITLE}**", main_table(board, board.variants).to_markdown()]
    if board.finished:
        blocks += facts.blocks(board) + literature.blocks(board, facts) if facts else []
        blocks += [f"IoU per class ({formatting.markdown(str(board.view))}), mean over seeds:"]
        blocks += [class_table(board).to_markdown()]
        blocks += ["Costs, mean over seeds, memory the highest of any:", cost_table(board).to_markdown()]
    if board.smoke:
        blocks += [f"**{SMOKE_TITLE}**", main_table(board, board.smoke).to_markdown()]
    return blocks


def render_csv(
    records: Iterable[Record], tests: Significances | None = None, facts: Facts | None = None
) -> str:
    """`machine_table` of all boards, unrounded to 4 digits."""
    return machine_table(boards(records), tests, facts).to_csv()


def to_json(
    records: Iterable[Record], tests: Significances | None = None, facts: Facts | None = None
) -> list[dict[str, Any]]:
    """Every board with what its numbers are of; its rows, and its variants apart from them, hold what the CSV does."""
    return [
        {
            "benchmark": board.benchmark,
            "title": board.title,
            "ranking_hash": board.ranking_hash,
            "protocol": board.protocol,
            "class_set": board.view.class_set,
            "split": board.view.split,
            "images": board.images,
            "averaged": averaged.sentence(board),
            "unseen": averaged.unseen(board),
            "data": board.data_kind,
            "rows": machine_table([board], tests, facts, lambda b: b.rows + b.smoke).to_json(),
            "variants": machine_table([board], tests, facts, attrgetter("variants")).to_json(),
            "context": context.table(board, context.lines(board, facts.controls if facts else ())).to_json(),
        }
        for board in boards(records)
    ]


def write_leaderboards(
    records: Iterable[Record],
    folder: Path,
    unreadable: Sequence[Unreadable] = (),
    tests: Significances | None = None,
    facts: Facts | None = None,
) -> list[Path]:
    """Writes ``leaderboard.md`` and ``.csv`` into ``folder`` and returns their paths; see `render_markdown`."""
    kept = list(records)
    page = render_markdown(kept, unreadable, tests, facts)
    return write_with_csv(folder / "leaderboard.md", page, render_csv(kept, tests, facts))
