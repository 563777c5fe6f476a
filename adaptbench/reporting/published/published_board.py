"""Boards of printed numbers alone, one page per benchmark: nothing on them was measured here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from adaptbench.records import formatting
from adaptbench.reporting.columns import Column, column, number
from adaptbench.reporting.published.facts import UNVERIFIED, Paper, Published, Result, Value
from adaptbench.reporting.table import Table
from adaptbench.storage import atomic

TITLES = {
    "main": "As printed by the papers of the methods",
    "reference": "Points of reference: source only and oracle",
    "other": "Re-runs, released checkpoints and values quoted by others",
}
SETTINGS = {
    "uda": "unlabelled target images",
    "dg": "no target images",
    "tta": "test-time adaptation",
    "source_only": "source only",
    "oracle": "oracle (target labels)",
}
LEGEND = (
    "Values in percent, exactly as printed; nothing on this page was measured by AdaptBench. Rows are ordered by "
    f"value and carry no rank: papers differ in more than the method. {UNVERIFIED} marks a value that fewer than two "
    "independent sources print; agreement checks that it was transcribed correctly, not that it was reproduced. "
    "Checkpoint and label size are what the authors' code scores, where it was read: a checkpoint chosen on the labels "
    f"it is scored on is no fair match for a last iterate. {formatting.MISSING} means not known."
)


def view_of(result: Result) -> str:
    """What a printed mIoU is the mean over, in place of a class set's name: ``19 classes, val``."""
    return f"{result.num_classes} classes, {result.split}"


_METHOD = column("method", "label", key="method")
_NETWORK = column("network", "network", key="network", filtered=True)


def result_table(results: Sequence[Result]) -> Table[Result]:
    """The main table; all results have one split and number of classes."""
    columns = [
        *(_METHOD, _NETWORK),
        column("training", lambda result: SETTINGS.get(result.setting, result.setting), filtered=True),
        number(f"mIoU ({view_of(results[0])})", "miou"),
        number("std", lambda result: result.std or None, number=float),
        number("seeds", "n_seeds"),
        column("checkpoint", lambda result: result.protocol.checkpoint or None, filtered=True),
        column("label size", lambda result: result.protocol.label_size or None),
        *(column("paper", "paper.citation"), column("read in", "miou.source")),
    ]
    return Table(columns, results)


def class_table(results: Sequence[Result]) -> Table[Result] | None:
    """IoU per class of the results that have any; None if none has."""
    found = [result for result in results if result.iou]
    classes = dict.fromkeys(name for result in found for name in result.iou)
    return Table([_METHOD, _NETWORK, *map(_class, classes)], found) if found else None


def _class(name: str) -> Column[Result]:
    return number(name, lambda result: result.iou.get(name), heat=True)


class Round(NamedTuple):
    """What a result says of the conditions of one round of a stream."""

    result: Result
    name: str

    def of(self, condition: str) -> Value | None:
        """Its mIoU; None where it is not printed."""
        return self.result.parts.get(f"{condition}, {self.name}")


def round_table(results: Sequence[Result]) -> Table[Round] | None:
    """MIoU per condition and round of the results that have any; None if none has."""
    parts = [(result, [key.split(", ") for key in result.parts]) for result in results]
    conditions = dict.fromkeys(condition for _, keys in parts for condition, _ in keys)
    lines = [
        Round(result, name) for result, keys in parts for name in dict.fromkeys(name for _, name in keys)
    ]
    described = [column("method", "result.label", key="method"), column("round", "name", key="round")]
    return Table([*described, *map(_condition, conditions)], lines) if lines else None


def _condition(name: str) -> Column[Round]:
    return number(name, lambda line: line.of(name), heat=True)


def kind_of(result: Result) -> str:
    """The key of the heading under which a result is listed."""
    reference = result.kind == "main" and result.setting in ("source_only", "oracle")
    return "reference" if reference else result.kind


def sections(published: Published, benchmark: str) -> list[tuple[str, list[Result]]]:
    """The results of one benchmark by split and number of classes, ablations left out."""
    own = [r for r in published.results if r.benchmark == benchmark and r.kind != "ablation"]
    own.sort(key=lambda result: result.split != "val")  # the usual split first
    return [(view, list(group)) for view, group in groupby(own, key=view_of)]


def render_markdown(published: Published, benchmark: str) -> str:
    """The page of one benchmark."""
    blocks = [f"# Published numbers: {formatting.markdown(benchmark)}", LEGEND]
    for view, results in sections(published, benchmark):
        blocks.append(f"## {formatting.markdown(view)}")
        for kind, title in TITLES.items():
            listed = [result for result in results if kind_of(result) == kind]
            if listed:
                blocks += [f"### {title}", result_table(listed).to_markdown()]
        classes = class_table([result for result in results if result.kind == "main"])
        if classes:
            blocks += [f"### IoU per class ({formatting.markdown(view)})", classes.to_markdown()]
        rounds = round_table(results)
        if rounds:
            blocks += [
                f"### mIoU per condition and round ({formatting.markdown(view)})",
                rounds.to_markdown(),
            ]
    ablations = sum(r.benchmark == benchmark and r.kind == "ablation" for r in published.results)
    if ablations:
        blocks.append(f"{ablations} rows of ablations are in [results.csv](results.csv) only.")
    own = [result for result in published.results if result.benchmark == benchmark]
    markdown = formatting.markdown
    papers = [
        f"- {markdown(paper.title)}. {markdown(paper.citation)}.{f' <{paper.url}>' if paper.url else ''}"
        for paper in papers_of(own)
    ]
    return "\n\n".join([*blocks, *_scoring(own), "## Papers", "\n".join(papers)]) + "\n"


def papers_of(results: Iterable[Result]) -> list[Paper]:
    """The papers behind ``results``, by key."""
    return sorted({result.paper.key: result.paper for result in results}.values(), key=lambda p: p.key)


def _scoring(results: Iterable[Result]) -> list[str]:
    """What is known beyond the columns, by paper."""
    notes = {r.paper.key: r for r in results if r.protocol.note}
    lines = [
        f"- {formatting.markdown(r.name.method)}: {formatting.markdown(r.protocol.note)}. "
        f"Read in {formatting.markdown(r.protocol.source)}."
        for _, r in sorted(notes.items())
    ]
    return ["## Scoring of the authors' code", "\n".join(lines)] if lines else []


def write_published(published: Published, folder: Path) -> list[Path]:
    """Writes ``<benchmark>.md`` of every benchmark into ``folder`` and returns the paths."""
    paths = [folder / f"{benchmark}.md" for benchmark in published.benchmarks]
    for path in paths:
        atomic.write_text(path, render_markdown(published, path.stem))
    return paths
