"""Tables as a page shows them: cells with what they are sorted by, where they lead and how they are shaded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from adaptbench.records import formatting
from adaptbench.reporting.leaderboard import Cells

#: Background of a share of 0 and of 1, and what is in between.
_HEAT = ((247, 251, 253), (207, 230, 239), (140, 195, 217), (63, 147, 184), (29, 95, 134), (13, 53, 87))
_INK, _PAPER = (0, 0, 0), (255, 255, 255)  # on any colour one of them has a contrast of 4.5
_FACTORS = {"h": 3600.0, "m": 60.0, "s": 1.0, "MiB": 1.0, "GiB": 1024.0, "k": 1e3, "M": 1e6}
_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(GiB|MiB|[hmskM])?(?![\w.])")
#: A column is offered as a filter if its texts repeat and are few.
_MOST_OPTIONS = 15
#: Headers of more shaded columns than this stand upright.
_MOST_LEVEL = 8


@dataclass(frozen=True)
class Link:
    """Where a text leads, relative to the page; ``said`` is the text for who cannot see its place."""

    text: str
    href: str
    said: str


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        text: what is shown.
        sort: by what rows are sorted; None = last, whatever the direction.
        links: shown after the text.
        href: where the text leads.
        best: whether it is set apart.
        style: colours of a heat map.
    """

    text: str
    sort: float | str | None = None
    links: tuple[Link, ...] = ()
    href: str | None = None
    best: bool = False
    style: str = ""


@dataclass(frozen=True)
class Line:
    """A row and the values by which it is filtered, one per filter of the table."""

    cells: tuple[Cell, ...]
    standing: str = "ranked"
    filters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Filter:
    """A choice of rows: one of ``options``, or all."""

    label: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        key: its id on the page.
        caption: what it shows; no number stands without it.
        headers: one per column.
        numeric: columns to align right.
        header_column: the column that names a row.
    """

    key: str
    caption: str
    headers: tuple[str, ...]
    lines: tuple[Line, ...]
    numeric: frozenset[int] = frozenset()
    header_column: int = 0
    filters: tuple[Filter, ...] = ()
    heat: bool = field(default=False)

    @property
    def turned(self) -> bool:
        """Whether there are so many shaded columns that their headers stand upright."""
        return self.heat and len(self.numeric) > _MOST_LEVEL


def sort_value(text: str) -> float | None:
    """The number that a cell of a leaderboard starts with, in its base unit: ``1h 02m`` is 3720.

    Units: seconds, MiB, or none.
    """
    found = list(_QUANTITY.finditer(text))
    if not found or found[0].start() != 0:
        return None
    if found[0][2] in ("h", "m", "s"):
        return sum(float(match[1]) * _FACTORS[match[2]] for match in found if match[2] in ("h", "m", "s"))
    return float(found[0][1]) * _FACTORS.get(found[0][2] or "", 1.0)


def from_cells(
    cells: Cells,
    key: str,
    caption: str,
    *,
    header_column: int = 0,
    standings: Sequence[str] = (),
    filtered: Iterable[str] = (),
) -> Table:
    """A table of the leaderboards or of printed numbers.

    Args:
        cells: headers and texts.
        key: id on the page.
        caption: what it shows.
        header_column: the column that names a row.
        standings: of every row; empty = all ranked.
        filtered: headers of the columns that are offered as filters, where that makes sense.
    """
    columns = [cells.headers.index(header) for header in filtered if header in cells.headers]
    chosen = [j for j in columns if 1 < len({row[j] for row in cells.rows}) <= _MOST_OPTIONS]
    lines = tuple(
        Line(
            tuple(_cell(cells, i, j) for j in range(len(cells.headers))),
            standings[i] if standings else "ranked",
            tuple(row[j] for j in chosen),
        )
        for i, row in enumerate(cells.rows)
    )
    filters = tuple(Filter(cells.headers[j], tuple(sorted({row[j] for row in cells.rows}))) for j in chosen)
    return Table(key, caption, tuple(cells.headers), lines, cells.numeric, header_column, filters)


def _cell(cells: Cells, i: int, j: int) -> Cell:
    text = cells.rows[i][j]
    value = sort_value(text) if j in cells.numeric else text.casefold()
    return Cell(text, None if text == formatting.MISSING else value, best=(i, j) in cells.best)


def with_links(table: Table, header: str, links: Sequence[Sequence[Link]]) -> Table:
    """The table with a further column of links, one list per row."""
    lines = tuple(
        replace(line, cells=(*line.cells, Cell("", float(len(own)), tuple(own))))
        for line, own in zip(table.lines, links, strict=True)
    )
    return replace(table, headers=(*table.headers, header), lines=lines)


def heat_map(table: Table) -> Table:
    """The table with its percentages shaded, 0 light and 100 dark."""

    def shaded(cell: Cell, j: int) -> Cell:
        if j not in table.numeric or not isinstance(cell.sort, float):
            return cell
        return replace(cell, style=shade(round(cell.sort / 100, 3)))

    lines = tuple(
        replace(line, cells=tuple(shaded(cell, j) for j, cell in enumerate(line.cells)))
        for line in table.lines
    )
    return replace(table, lines=lines, heat=True)


@lru_cache(maxsize=4096)
def shade(share: float) -> str:
    """Colours for a share of 0..1: the darker the more, and text that can be read on it."""
    place = min(max(share, 0.0), 1.0) * (len(_HEAT) - 1)
    low = min(int(place), len(_HEAT) - 2)
    mixed = tuple(round(a + (b - a) * (place - low)) for a, b in zip(_HEAT[low], _HEAT[low + 1], strict=True))
    ink = max(_INK, _PAPER, key=lambda colour: contrast(colour, mixed))
    return f"background:{_hex(mixed)};color:{_hex(ink)}"


def contrast(first: Sequence[int], second: Sequence[int]) -> float:
    """Contrast ratio of two colours, 1..21. Source: WCAG 2.2, definition of contrast ratio."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Sequence[int]) -> float:
    shares = [value / 255 for value in colour]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _hex(colour: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
