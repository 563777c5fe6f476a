"""Leaderboards as markdown and CSV: the same records give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from adaptbench.records import formatting
from adaptbench.records.record import Record
from adaptbench.records.scan import Unreadable
from adaptbench.reporting import costs
from adaptbench.reporting.board import ACCURACY, MIOU, Board, Row, Statistic, View, boards
from adaptbench.reporting.mean_score import with_mean
from adaptbench.reporting.standing import gap, significance
from adaptbench.reporting.standing.significance import Significance, Significances
from adaptbench.storage import atomic

NO_RUNS = (
    "No finished runs yet. Start some with "
    "`python run_all.py --methods source_only dacs oracle`, then call `python run_all.py report` again."
)

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
    "of that mean over seeds. Rows are ranked only under one protocol, by the mean; the order is no test of "
    "significance, which the column `against the best` and the line below the table are: seeds and images are "
    "resampled together, and below 5 seeds nothing is claimed. `control` rows are points "
    "of reference and `oracle` rows were trained with target labels: neither is ranked. `gap closed` is the way from "
    "`source_only` (0 %) to `oracle` (100 %) with the same network. Settings are "
    "`published` for the pair of benchmark and network or `transferred` from another one, followed by "
    "what the user changed. Time is the mean training time, memory the highest peak of any seed "
    "(resident on CPU, allocated on GPU)."
)


@dataclass(frozen=True)
class Cells:
    """A table as plain text, for any renderer.

    Attributes:
        headers: one per column.
        rows: one list of cells per row.
        best: (row, column) of the cells to set in bold.
        numeric: columns to align right.
    """

    headers: list[str]
    rows: list[list[str]]
    best: frozenset[tuple[int, int]]
    numeric: frozenset[int]


class Beside:
    """What stands beside our rows, for example published values. Nothing, unless a subclass says so."""

    def blocks(self, board: Board) -> Sequence[str]:
        """Markdown below the main table of a board."""
        return ()

    def columns(self, board: Board, row: Row) -> Mapping[str, object]:
        """Columns of the CSV, the same for every row; filled where the ranked split is the one of a line."""
        return {}


NOTHING = Beside()


_Column = tuple[str, bool, Callable[[Row], str]]


def main_cells(board: Board, rows: Sequence[Row], found: Significance | None = None) -> Cells:
    """The main table: rank, method, score, seeds, tests if there are any, network, settings, cost, further splits."""
    columns: list[_Column] = [
        ("rank", True, lambda row: row.rank_text),
        ("method", False, lambda row: row.label),
        (f"mIoU ({board.view})", True, lambda row: str(row.miou)),
        ("95 % interval", True, _interval),
        ("seeds", False, lambda row: formatting.seed_list(row.seeds)),
        *([(significance.HEADER, False, lambda row: significance.cell(row, board, found))] if found else []),
        *_gap_column(board, rows),
        ("network", False, lambda row: _network(row.first)),
        ("pretraining", False, lambda row: row.first.network.pretraining),
        ("settings", False, lambda row: row.settings),
        ("iterations", True, lambda row: str(row.first.iterations)),
        ("time", True, lambda row: formatting.duration(row.training_seconds)),
        ("peak memory", True, lambda row: formatting.memory(row.peak_memory_mib)),
        ("device", False, lambda row: row.devices),
        ("origin", False, lambda row: row.origin),
        *(_score_column(f"mIoU ({view})", view, MIOU) for view in board.further),
    ]
    start = len(columns) - len(board.further)
    scores = {2: (board.view, MIOU)} | {start + i: (view, MIOU) for i, view in enumerate(board.further)}
    return _cells(board, rows, columns, scores)


def _gap_column(board: Board, rows: Sequence[Row]) -> list[_Column]:
    closed = gap.gaps_closed(board)
    known = any(row.first.group_hash in closed for row in rows)
    return [(gap.HEADER, True, lambda row: gap.cell(row, closed))] if known else []


def class_cells(board: Board, rows: Sequence[Row]) -> Cells:
    """The second table: IoU per class in the ranked view, mean over seeds."""
    columns: list[_Column] = [
        ("rank", True, lambda row: row.rank_text),
        ("method", False, lambda row: row.label),
        *(_score_column(name, board.view, name, short=True) for name in board.classes),
    ]
    return _cells(board, rows, columns, {2 + i: (board.view, name) for i, name in enumerate(board.classes)})


def cost_cells(rows: Sequence[Row]) -> Cells:
    """The third table: what the rows cost."""
    headers, lines = costs.table(rows)
    return Cells(headers, lines, frozenset(), frozenset(range(2, len(headers) - 1)))


def _score_column(header: str, view: View, quantity: str, short: bool = False) -> _Column:
    def cell(row: Row) -> str:
        found = row.statistics.get((view, quantity))
        if found is None:
            return formatting.MISSING
        return f"{found.mean:.1f}" if short else str(found)

    return header, True, cell


def _cells(
    board: Board, rows: Sequence[Row], columns: Sequence[_Column], scores: dict[int, tuple[View, str]]
) -> Cells:
    highest = {j: board.best(*key) for j, key in scores.items()}
    best = {
        (i, j)
        for j, key in scores.items()
        for i, row in enumerate(rows)
        if row.standing == "ranked" and key in row.statistics and row.statistics[key].mean == highest[j]
    }
    return Cells(
        headers=[header for header, _, _ in columns],
        rows=[[cell(row) for _, _, cell in columns] for row in rows],
        best=frozenset(best),
        numeric=frozenset(j for j, (_, numeric, _) in enumerate(columns) if numeric),
    )


def _interval(row: Row) -> str:
    return formatting.MISSING if row.interval is None else formatting.interval(*row.interval)


def _network(record: Record) -> str:
    network = record.network
    weights = "" if network.weights == "student" else f", {network.weights}"
    return f"{network.name} ({formatting.parameters(network.parameters)}{weights})"


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
            f"and the pictures scored ({board.view.split}) are real photographs. The numbers hold for this "
            "generated source and do not compare with published ones."
        )
    return (
        f"{generated} comes from MiniCity, a generated world, {official} is real; the pictures scored "
        f"({board.view.split}) are generated: the numbers do not say how methods score on real streets."
    )


def render_markdown(
    records: Iterable[Record],
    unreadable: Sequence[Unreadable] = (),
    tests: Significances | None = None,
    beside: Beside = NOTHING,
) -> str:
    """The page: for every board its protocol in words, the main table and the table of classes.

    Args:
        records: any number, in any order.
        unreadable: record files that are not in the tables; listed at the end.
        tests: what the statistics say about the boards, where it is known.
        beside: what stands beside our rows.
    """
    found = boards(records)
    blocks = ["# Leaderboard"]
    if not found:
        blocks.append(NO_RUNS)
    kinds = {board.data_kind for board in found}
    if kinds - {"official"}:
        blocks.append(_PAGE_NOTES["generated" if kinds == {"generated"} else "mixed"])
    for _, group in groupby(found, key=lambda board: board.benchmark):
        blocks += _benchmark_blocks(list(group), tests or {}, beside, say_data=kinds != {"generated"})
    if found:
        blocks += ["## How to read this page", _LEGEND]
    if unreadable:
        blocks += ["## Left out: records that could not be read"]
        blocks += ["\n".join(f"- {formatting.markdown(problem.reason)}" for problem in unreadable)]
    return "\n\n".join(blocks) + "\n"


def _benchmark_blocks(
    group: Sequence[Board], tests: Significances, beside: Beside, say_data: bool
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
        blocks += _board_blocks(board, tests.get(significance.key(board)), beside.blocks(board))
    return blocks


def _board_blocks(board: Board, found: Significance | None, beside: Sequence[str]) -> list[str]:
    blocks = [
        f"Scored on {board.images} images of {formatting.markdown(board.view.split)} in "
        f"{board.class_count} ({formatting.markdown(board.view.class_set)}). "
        f"Protocol `{board.ranking_hash[:8]}`: {formatting.markdown(board.protocol)}."
    ]
    if board.rows:
        blocks += [markdown_table(main_cells(board, board.rows, found))]
        said = significance.sentence(board, found)
        blocks += [formatting.markdown(said)] if said else []
        blocks += beside
        blocks += [f"IoU per class ({formatting.markdown(str(board.view))}), mean over seeds:"]
        blocks += [markdown_table(class_cells(board, board.rows))]
        blocks += [
            "Costs, mean over seeds, memory the highest of any:",
            markdown_table(cost_cells(board.rows)),
        ]
    if board.smoke:
        blocks += [f"**{SMOKE_TITLE}**", markdown_table(main_cells(board, board.smoke))]
    return blocks


def markdown_table(cells: Cells) -> str:
    """The table as markdown."""
    from tabulate import tabulate

    def cell(i: int, j: int) -> str:
        text = formatting.markdown(cells.rows[i][j])
        return f"**{text}**" if (i, j) in cells.best else text

    return tabulate(
        [[cell(i, j) for j in range(len(cells.headers))] for i in range(len(cells.rows))],
        headers=[formatting.markdown(header) for header in cells.headers],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["right" if j in cells.numeric else "left" for j in range(len(cells.headers))],
    )


def render_csv(
    records: Iterable[Record], tests: Significances | None = None, beside: Beside = NOTHING
) -> str:
    """One line per group of seeds and split scored: everything the page shows, unrounded to 4 digits.

    Columns ``iou:<class>`` and ``iou_std:<class>`` hold the union of all class sets; a class that a line's
    class set lacks, or that does not occur, is empty. ``ranked_split`` marks the line that decides the rank;
    ``p_best`` is the corrected p-value of the difference to the best row, where it was tested.
    """
    import pandas as pd

    found = boards(records)
    classes = list(dict.fromkeys(name for b in found for r in b.all_rows for name in _class_names(r)))
    lines = [
        line
        for board in found
        for line in _csv_lines(board, classes, (tests or {}).get(significance.key(board)), beside)
    ]
    columns = list(lines[0]) if lines else ["benchmark", "ranking_hash", "group_hash", "rank", "method"]
    return pd.DataFrame(lines, columns=columns).to_csv(index=False, float_format="%.4f", lineterminator="\n")


def _class_names(row: Row) -> list[str]:
    return [name for record in row.records for score in record.scores for name in score.iou]


def _csv_lines(
    board: Board, classes: Sequence[str], found: Significance | None, beside: Beside
) -> Iterator[dict[str, object]]:
    """One per row and split; what is known of the ranked split alone is empty in the others."""
    closed = gap.gaps_closed(board)
    for row in board.all_rows:
        known = {"gap_closed": closed.get(row.first.group_hash), **beside.columns(board, row)}
        for view in (board.view, *board.further):
            if (view, MIOU) in row.statistics:
                here = known if view == board.view else dict.fromkeys(known)
                yield _csv_line(board, row, view, classes, found) | here


def _csv_line(
    board: Board, row: Row, view: View, classes: Sequence[str], found: Significance | None
) -> dict[str, object]:
    record = row.first
    scores = (score for one in row.records for score in with_mean(one))  # a seed may lack a further split
    score = next(score for score in scores if (score.class_set, score.split) == view)
    miou, accuracy = row.statistics[view, MIOU], row.statistics[view, ACCURACY]
    per_class: list[Statistic | None] = [row.statistics.get((view, name)) for name in classes]
    return {
        "benchmark": board.benchmark,
        "ranking_hash": record.ranking_hash,
        "group_hash": record.group_hash,
        "standing": row.standing,
        "rank": row.rank_text,
        "method": record.method,
        "label": row.label,
        "method_version": record.method_version,
        "tags": " ".join(record.tags),
        "oracle": record.oracle,
        "smoke": record.smoke,
        "profile": record.profile,
        "setting": record.setting,
        "split": view.split,
        "class_set": view.class_set,
        "ranked_split": view == board.view,
        "provenance": score.provenance,
        "images": score.images,
        "n_seeds": len(row.seeds),
        "seeds": " ".join(map(str, row.seeds)),
        "miou_mean": miou.mean,
        "miou_std": miou.std,
        **_csv_tests(row, found, ranked=view == board.view),
        "accuracy_mean": accuracy.mean,
        "accuracy_std": accuracy.std,
        "network": record.network.name,
        "parameters": record.network.parameters,
        "pretraining": record.network.pretraining,
        "scored_weights": record.network.weights,
        "settings_origin": record.settings_origin,
        "overrides": formatting.assignments(record.overrides),
        "iterations": record.iterations,
        **costs.csv_columns(row),
        "origin": row.origin,
        **{f"iou:{name}": s and s.mean for name, s in zip(classes, per_class, strict=True)},
        **{f"iou_std:{name}": s and s.std for name, s in zip(classes, per_class, strict=True)},
    }


def _csv_tests(row: Row, found: Significance | None, ranked: bool) -> dict[str, float | None]:
    """What the statistics say; only of the ranked split."""
    low, high = (row.interval if ranked else None) or (None, None)
    p = found.p.get(row.first.group_hash) if found and ranked else None
    return {"miou_low": low, "miou_high": high, "p_best": p}


def write_leaderboards(
    records: Iterable[Record],
    folder: Path,
    unreadable: Sequence[Unreadable] = (),
    tests: Significances | None = None,
    beside: Beside = NOTHING,
) -> list[Path]:
    """Writes ``leaderboard.md`` and ``leaderboard.csv`` into ``folder`` and returns their paths.

    Args:
        records: any number, in any order.
        folder: where to; created if missing.
        unreadable: record files that are not in the tables; listed at the end of the page.
        tests: what the statistics say about the boards, where it is known.
        beside: what stands beside our rows.

    Raises:
        RunStateError: the folder cannot be written.
    """
    kept = list(records)
    contents = {
        "leaderboard.md": render_markdown(kept, unreadable, tests, beside),
        "leaderboard.csv": render_csv(kept, tests, beside),
    }
    for name, text in contents.items():
        atomic.write_text(folder / name, text)
    return [folder / name for name in contents]
