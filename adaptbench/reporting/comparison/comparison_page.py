"""A comparison as tables, as a page and as CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from adaptbench.records import formatting
from adaptbench.reporting.columns import column, machine, number
from adaptbench.reporting.comparison.compared import Comparison, Line
from adaptbench.reporting.comparison.sides import Side
from adaptbench.reporting.table import Table, write_with_csv

#: Images shown at either end of the list; the CSV holds all of them.
_IMAGES = 5

_NOTE = (
    "Differences are A minus B, in points, over seeds and images resampled together (intervals of single images: over "
    "seeds). Intervals are 95 % each; p is corrected by Holm within its table, and * marks p < 0.05."
)
_NOTE_CHECKPOINTS = (
    "Differences are A minus B, in points, over resampled images: all intervals are of these checkpoints. Intervals "
    "are 95 % each; p is corrected by Holm within its table, and * marks p < 0.05."
)


def sides_sentence(comparison: Comparison) -> str:
    """What was compared on what, and how the images hang together: cities, drives or videos are places."""
    a, b = comparison.sides
    places = f" of {comparison.clusters} places" if comparison.clusters < comparison.images else ""
    if comparison.clusters == 1:
        places = " of one place, which the intervals do not look beyond"
    return f"A is {a}. B is {b}. Scored on {comparison.images} images{places} ({a.view})."


def note(comparison: Comparison) -> str:
    """How to read the numbers."""
    return _NOTE_CHECKPOINTS if comparison.seeds == 1 else _NOTE


_A, _B = number("A", "first", "{:.1f}".format, "a"), number("B", "second", "{:.1f}".format, "b")
_DIFFERENCE = number(
    "A - B",
    lambda line: None if line.gap is None else line,
    lambda line: formatting.signed(line.gap) + (" *" if line.p is not None and line.p < 0.05 else ""),
    parts={"difference": attrgetter("gap")},
)
_INTERVAL = number(
    "95 % interval",
    lambda line: line.difference and line.difference.interval(),
    lambda interval: f"{formatting.signed(interval.low)} to {formatting.signed(interval.high)}",
    parts={"low": attrgetter("low"), "high": attrgetter("high")},
)
_P = number("p", "p", formatting.p_value, "p_holm")


def score_table(lines: Sequence[Line], what: str) -> Table[Line]:
    """One line per score."""
    return Table([column(what, "name", key="name"), _A, _B, _DIFFERENCE, _INTERVAL, _P], lines)


def tables(comparison: Comparison) -> list[tuple[str, Table[Any]]]:
    """All tables with their titles."""
    found: list[tuple[str, Table[Any]]] = [
        ("mIoU", score_table([comparison.overall], "score")),
        ("IoU per class", score_table(comparison.classes, "class")),
    ]
    for tag in dict.fromkeys(line.group for line in comparison.conditions):
        lines = [line for line in comparison.conditions if line.group == tag]
        found.append((f"mIoU per {tag}", score_table(lines, tag)))
    images = comparison.per_image
    gaps = [line.gap for line in images if line.gap is not None]
    ahead = f"A is ahead on {sum(gap > 0 for gap in gaps)} of {len(gaps)}"
    extremes = images if len(images) <= 2 * _IMAGES else [*images[:_IMAGES], *images[-_IMAGES:]]
    found.append((f"mIoU per image: {ahead}; the largest differences", score_table(extremes, "image")))
    part = column(" ", "part", key="part")  # its texts say what they are
    columns = [part, column("what", "key"), column("A", "first"), column("B", "second")]
    return [*found, ("What else differs", Table(columns, comparison.departures))]


def render_markdown(comparison: Comparison) -> str:
    """The page."""
    labels = " and ".join(side.label for side in comparison.sides)
    blocks = [f"# {formatting.markdown(labels)}", formatting.markdown(sides_sentence(comparison))]
    blocks += [f"**{formatting.markdown(comparison.conclusion)}**", formatting.markdown(note(comparison))]
    for heading, table in tables(comparison):
        blocks += [f"## {formatting.markdown(heading)}", table.to_markdown() if table.lines else "Nothing."]
    return "\n\n".join(blocks) + "\n"


def machine_table(comparison: Comparison) -> Table[Line]:
    """One line per score, of all images."""
    named = (machine("group", "group"), machine("name", "name"))
    lines = [comparison.overall, *comparison.classes, *comparison.conditions, *comparison.per_image]
    return Table([*named, _A, _B, _DIFFERENCE, _INTERVAL, _P], lines)


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Everything that is compared, as values."""
    a, b = comparison.sides
    return {
        "a": _side(a),
        "b": _side(b),
        "class_set": a.view.class_set,
        "split": a.view.split,
        "images": comparison.images,
        "places": comparison.clusters,
        "conclusion": comparison.conclusion,
        "scores": machine_table(comparison).to_json(),
        "departures": [departure._asdict() for departure in comparison.departures],
    }


def _side(side: Side) -> dict[str, Any]:
    first = side.first
    return {
        "label": side.label,
        "benchmark": first.benchmark,
        "ranking_hash": first.ranking_hash,
        "group_hash": first.group_hash,
        "seeds": [record.seed for record in side.records],
    }


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Writes the page and the CSV into ``folder`` and returns their paths."""
    labels = [re.sub(r"[^A-Za-z0-9]+", "-", side.label).strip("-") for side in comparison.sides]
    names = [
        f"{text}-{side.first.group_hash[:6]}" for text, side in zip(labels, comparison.sides, strict=True)
    ]
    page = folder / f"{'--'.join(names)}.md"
    return write_with_csv(page, render_markdown(comparison), machine_table(comparison).to_csv())
