"""A column of a table, declared once: its header, its values, how they are written, and what machines call it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any, Generic, TypeVar

from adaptbench.records import formatting

#: What a table has a line of.
R_contra = TypeVar("R_contra", contravariant=True)


def as_number(value: Any) -> float | None:
    """Numbers, and all that say ``float(value)``, as a number; None for texts."""
    return float(value) if hasattr(value, "__float__") else None


@dataclass(frozen=True)
class Column(Generic[R_contra]):
    """A column of a table with one line per ``R``.

    Attributes:
        header: for people; empty = only in CSV and JSON.
        value: of a line: a number, a text, or an object that has several parts; None = not known.
        text: how a value is written; what is not known is a dash.
        key: name in CSV and JSON; empty = in no CSV, and under its header in JSON.
        unit: of a value as a number, where its text says another one.
        parts: names in CSV and JSON and what they take of a value, in place of ``key``.
        right: whether it is aligned right, as numbers are.
        number: of a value, to sort by.
        place: 1 for the best lines, which are set in bold, 2 for the second, underlined in LaTeX.
        optional: whether people are not shown it where no line has a value.
        terminal: width of a terminal from which it is shown; None = on no terminal.
        names_line: whether it names the lines; else the first column does.
        filtered: whether lines may be chosen by it on the web page.
        heat: whether its values are percentages that the web page shades.
        smaller_first: whether a first click on its header sorts the small numbers to the top.
        href: where its cells lead on the web page.
        links: shown after its texts on the web page: text, where it leads, and the text for who cannot see its place.
    """

    header: str
    value: Callable[[R_contra], Any]
    text: Callable[[Any], str] = str
    key: str = ""
    unit: str = ""
    parts: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    right: bool = False
    number: Callable[[Any], float | None] = as_number
    place: Callable[[R_contra], int | None] = lambda line: None
    optional: bool = False
    terminal: int | None = 0
    names_line: bool = False
    filtered: bool = False
    heat: bool = False
    smaller_first: bool = False
    href: Callable[[R_contra], str] | None = None
    links: Callable[[R_contra], Iterable[tuple[str, str, str]]] | None = None

    def written(self, line: R_contra) -> str:
        """The text of a line's value."""
        value = self.value(line)
        return formatting.MISSING if value is None else self.text(value)

    def values(self, line: R_contra) -> dict[str, Any]:
        """Names and values of a line for machines."""
        value = self.value(line)
        if self.parts:
            return {key: None if value is None else part(value) for key, part in self.parts.items()}
        return {self.key or self.header: value}

    def plain(self, line: R_contra) -> dict[str, Any]:
        """The same with values that JSON has; others are written."""
        values = self.values(line)
        for key, value in values.items():
            if isinstance(value, float) and not math.isfinite(value):
                values[key] = None
            elif value is not None and not isinstance(value, bool | int | float | str):
                values[key] = self.text(value)
        return values


#: Of a network.
NETWORK_PARTS = {"network": attrgetter("name"), "parameters": attrgetter("parameters")}
#: Of seeds.
SEED_PARTS: Mapping[str, Callable[[Any], Any]] = {
    "n_seeds": len,
    "seeds": lambda seeds: " ".join(map(str, seeds)),
}


def column(
    header: str,
    value: str | Callable[[Any], Any],
    text: Callable[[Any], str] = str,
    key: str = "",
    **more: Any,
) -> Column[Any]:
    """A column whose values may be named by the path of an attribute of a line, as in ``row.first.iterations``."""
    return Column(header, attrgetter(value) if isinstance(value, str) else value, text, key, **more)


#: The same for numbers, which are aligned right.
number = partial(column, right=True)


def machine(key: str, value: str | Callable[[Any], Any]) -> Column[Any]:
    """A column of CSV and JSON alone."""
    return column("", value, key=key)


def fields(of: str, *names: str) -> list[Column[Any]]:
    """Columns of CSV and JSON alone: attributes, called as they are, of what lies at the path ``of`` of a line."""
    return [machine(name, f"{of}.{name}") for name in names]


def mean_and_std(key: str) -> dict[str, Callable[[Any], float | None]]:
    """Parts of a value that is a mean over seeds with its standard deviation."""
    return {f"{key}_mean": attrgetter("mean"), f"{key}_std": attrgetter("std")}
