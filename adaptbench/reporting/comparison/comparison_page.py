"""A comparison as tables, as a page and as CSV."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from adaptbench.records import formatting
from adaptbench.reporting.comparison.compared import Comparison, Line
from adaptbench.reporting.leaderboard import Cells, markdown_table
from adaptbench.storage import atomic

#: Pictures shown at either end of the list; the CSV holds all of them.
_PICTURES = 5

_NOTE = (
    "Differences are A minus B, in points, over seeds and images resampled together (intervals of single images: over "
    "seeds). Intervals are 95 % each; p is corrected by Holm within its table, and * marks p < 0.05."
)
_NOTE_CHECKPOINTS = (
    "Differences are A minus B, in points, over resampled images: all intervals are of these checkpoints. Intervals "
    "are 95 % each; p is corrected by Holm within its table, and * marks p < 0.05."
)


def title(comparison: Comparison) -> str:
    """Both labels."""
    a, b = comparison.sides
    return f"{a.label} and {b.label}"


def sides_sentence(comparison: Comparison) -> str:
    """What was compared on what."""
    a, b = comparison.sides
    return f"A is {a}. B is {b}. Scored on {comparison.images} images{_places(comparison)} ({a.view})."


def _places(comparison: Comparison) -> str:
    """How the images hang together: cities, drives or videos; empty where each stands alone."""
    if comparison.clusters == 1:
        return " of one place, which the intervals do not look beyond"
    return f" of {comparison.clusters} places" if comparison.clusters < comparison.images else ""


def note(comparison: Comparison) -> str:
    """How to read the numbers."""
    return _NOTE_CHECKPOINTS if comparison.seeds == 1 else _NOTE


def score_cells(lines: Iterable[Line], what: str) -> Cells:
    """One row per score."""
    rows = [[line.name, _score(line.first), _score(line.second), *_difference(line)] for line in lines]
    return Cells(
        [what, "A", "B", "A - B", "95 % interval", "p"], rows, frozenset(), frozenset({1, 2, 3, 4, 5})
    )


def tables(comparison: Comparison) -> list[tuple[str, Cells]]:
    """All tables with their titles."""
    found = [
        ("mIoU", score_cells([comparison.overall], "score")),
        ("IoU per class", score_cells(comparison.classes, "class")),
    ]
    for tag in dict.fromkeys(line.group for line in comparison.conditions):
        lines = [line for line in comparison.conditions if line.group == tag]
        found.append((f"mIoU per {tag}", score_cells(lines, tag)))
    found.append((_image_title(comparison), score_cells(_extremes(comparison.per_image), "image")))
    return [*found, ("What else differs", departure_cells(comparison))]


def departure_cells(comparison: Comparison) -> Cells:
    """Facts in which the sides differ."""
    rows = [list(departure) for departure in comparison.departures]
    return Cells(["", "what", "A", "B"], rows, frozenset(), frozenset())


def render_markdown(comparison: Comparison) -> str:
    """The page."""
    blocks = [f"# {formatting.markdown(title(comparison))}", formatting.markdown(sides_sentence(comparison))]
    blocks += [f"**{formatting.markdown(comparison.conclusion)}**", formatting.markdown(note(comparison))]
    for heading, cells in tables(comparison):
        blocks += [f"## {formatting.markdown(heading)}", markdown_table(cells) if cells.rows else "Nothing."]
    return "\n\n".join(blocks) + "\n"


def render_csv(comparison: Comparison) -> str:
    """One line per score, unrounded to four digits; all images."""
    import pandas as pd

    lines = []
    for line in comparison.lines:
        low, high = line.difference.interval() if line.difference else (None, None)
        lines.append(
            {
                "group": line.group,
                "name": line.name,
                "a": line.first,
                "b": line.second,
                "difference": line.gap,
                "low": low,
                "high": high,
                "p_holm": line.p,
            }
        )
    return pd.DataFrame(lines).to_csv(index=False, float_format="%.4f", lineterminator="\n")


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Writes the page and the CSV into ``folder`` and returns their paths.

    Raises:
        RunStateError: the folder cannot be written.
    """
    a, b = comparison.sides
    stem = "--".join(_file_name(side.label, side.first.group_hash) for side in (a, b))
    contents = {f"{stem}.md": render_markdown(comparison), f"{stem}.csv": render_csv(comparison)}
    for name, text in contents.items():
        atomic.write_text(folder / name, text)
    return [folder / name for name in contents]


def _file_name(label: str, group_hash: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', label).strip('-')}-{group_hash[:6]}"


def _score(value: float | None) -> str:
    return formatting.MISSING if value is None else f"{value:.1f}"


def _difference(line: Line) -> list[str]:
    """Difference, interval and p-value."""
    if line.difference is None or line.p is None:
        return [
            formatting.MISSING if line.gap is None else formatting.signed(line.gap),
            formatting.MISSING,
            formatting.MISSING,
        ]
    low, high = line.difference.interval()
    star = " *" if line.p < 0.05 else ""
    return [
        f"{formatting.signed(line.difference.mean)}{star}",
        f"{formatting.signed(low)} to {formatting.signed(high)}",
        formatting.p_value(line.p),
    ]


def _image_title(comparison: Comparison) -> str:
    gaps = [line.gap for line in comparison.per_image if line.gap is not None]
    ahead = sum(gap > 0 for gap in gaps)
    return f"mIoU per image: A is ahead on {ahead} of {len(gaps)}; the largest differences"


def _extremes(lines: Sequence[Line]) -> Sequence[Line]:
    return lines if len(lines) <= 2 * _PICTURES else [*lines[:_PICTURES], *lines[-_PICTURES:]]
