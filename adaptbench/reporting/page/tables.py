"""Tables as a page shows them: what they are called, how their lines are marked, filtered and shaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Generic, NamedTuple, TypeVar

from adaptbench.reporting.columns import Column
from adaptbench.reporting.table import Table

#: Background of a share of 0 and of 1, and what is in between.
_HEAT = ((247, 251, 253), (207, 230, 239), (140, 195, 217), (63, 147, 184), (29, 95, 134), (13, 53, 87))
#: From this share on the text is white.
_DARK = 0.686
#: A column is offered as a filter if its texts repeat and are few.
_MOST_OPTIONS = 15
#: Headers of more shaded columns than this stand upright.
_MOST_LEVEL = 8

R = TypeVar("R")


class Cell(NamedTuple):
    """A cell; lines are sorted by ``sort``, None = last, whatever the direction."""

    text: str
    sort: float | str | None
    is_best: bool
    style: str


class Filter(NamedTuple):
    """A choice of lines: one of ``options``, or all; ``column`` is the number of the column they stand in."""

    label: str
    options: tuple[str, ...]
    column: int


@dataclass(frozen=True)
class PageTable(Generic[R]):
    """A table of a page.

    Attributes:
        key: its id on the page.
        standing: how a line is marked.
    """

    table: Table[R]
    key: str
    caption: str
    standing: Callable[[R], str] = lambda line: "ranked"

    @cached_property
    def columns(self) -> list[Column[R]]:
        """Those that are shown."""
        return self.table.shown

    @cached_property
    def cells(self) -> list[list[Cell]]:
        """The cells of every line."""
        return [[cell(column, line) for column in self.columns] for line in self.table.lines]

    @property
    def name_column(self) -> int:
        """The number of the column that names a line."""
        return next((j for j, column in enumerate(self.columns) if column.names_line), 0)

    @cached_property
    def filters(self) -> list[Filter]:
        """The columns by which lines can be chosen, where that makes sense."""
        listed = [
            Filter(column.header, tuple(sorted({line[j].text for line in self.cells})), j)
            for j, column in enumerate(self.columns)
            if column.filtered
        ]
        return [found for found in listed if 1 < len(found.options) <= _MOST_OPTIONS]

    @property
    def is_heat_map(self) -> bool:
        """Whether cells are shaded."""
        return any(column.heat for column in self.columns)

    @property
    def is_turned(self) -> bool:
        """Whether there are so many shaded columns that their headers stand upright."""
        return self.is_heat_map and sum(column.right for column in self.columns) > _MOST_LEVEL


def cell(column: Column[R], line: R) -> Cell:
    """The cell of a line."""
    value, text = column.value(line), column.written(line)
    number = None if value is None else column.number(value)
    sort = number if column.right or number is not None or value is None else text.casefold()
    style = shade(round(number / 100, 3)) if column.heat and number is not None else ""
    return Cell(text, sort, column.place(line) == 1, style)


@lru_cache(maxsize=4096)
def shade(share: float) -> str:
    """Colours for a share of 0..1: the darker the more, and text that can be read on it."""
    place = min(max(share, 0.0), 1.0) * (len(_HEAT) - 1)
    low = min(int(place), len(_HEAT) - 2)
    mixed = (round(a + (b - a) * (place - low)) for a, b in zip(_HEAT[low], _HEAT[low + 1], strict=True))
    ink = "#ffffff" if share >= _DARK else "#000000"
    return f"background:{'#{:02x}{:02x}{:02x}'.format(*mixed)};color:{ink}"
