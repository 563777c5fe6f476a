"""What ``analyse`` writes: a page, a table and a plot per board, of the networks that were looked into."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from adaptbench.records import formatting
from adaptbench.records.record import Record
from adaptbench.reporting.columns import Column, column, machine, number
from adaptbench.reporting.figures.canvas import QUIET, empty_figure, placed_axes, plain_style, save
from adaptbench.reporting.table import Table, write_with_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Colour = tuple[float, float, float, float]


@dataclass(frozen=True)
class Measured:
    """A network that was looked into.

    Attributes:
        split: whose images, ``dataset/split``.
        images: how many.
    """

    record: Record
    split: str
    images: int
    classes: Sequence[str]

    @property
    def where(self) -> str:
        """Benchmark, number of images and split."""
        return f"{self.record.benchmark}, {self.images} images of {self.split}"

    @property
    def name(self) -> str:
        """Of the method."""
        return self.record.method


M = TypeVar("M", bound=Measured)


@dataclass(frozen=True)
class Row(Generic[M]):
    """Networks that differ by their seed alone."""

    measured: Sequence[M]

    @property
    def first(self) -> M:
        """Of the lowest seed."""
        return min(self.measured, key=lambda one: one.record.seed)

    @property
    def settings(self) -> str:
        """What the user or a study set."""
        return formatting.assignments(self.first.record.overrides)

    @property
    def title(self) -> str:
        """Method, and what tells it from others."""
        return self.first.name + (f" ({self.settings})" if self.settings else "")


@dataclass(frozen=True)
class Quantity(Generic[M]):
    """A number of a network, declared once for people and machines.

    Attributes:
        header: what people call it.
        value: of a network; NaN where it is not known.
        decimals: that people are shown.
        key: what machines call it; empty = as people do.
        section: heading of its table.
        with_deviation: whether people are shown its standard deviation over seeds.
    """

    header: str
    value: Callable[[M], float]
    decimals: int = 1
    key: str = ""
    section: str = ""
    with_deviation: bool = True

    def mean(self, row: Row[M]) -> float:
        """Over seeds."""
        return float(np.mean([self.value(one) for one in row.measured]))

    def text(self, row: Row[M]) -> str:
        """Mean over seeds and, of several, ± the standard deviation (n-1); a dash where one is missing."""
        values = [self.value(one) for one in row.measured]
        if np.isnan(values).any():
            return formatting.MISSING
        deviates = self.with_deviation and len(values) > 1
        deviation = f" ± {np.std(values, ddof=1):.{self.decimals}f}" if deviates else ""
        return f"{np.mean(values):.{self.decimals}f}{deviation}"


@dataclass(frozen=True)
class Plot(Generic[M]):
    """A plot with a colour per row.

    Attributes:
        draw: into axes; it labels what a row has.
        note: beside what was measured.
        size: of the axes. Units: inches.
        bottom: space below for their labels. Units: inches.
    """

    draw: Callable[[Axes, Sequence[Row[M]], Sequence[Colour]], None]
    note: str = ""
    size: tuple[float, float] = (7.6, 3.3)
    bottom: float = 0.6

    def write(self, rows: Sequence[Row[M]], path: Path) -> None:
        """Draws the rows with their legend above."""
        (width, height), legend = self.size, 0.2 * len(rows) + 0.2
        with plain_style():
            from matplotlib import colormaps

            figure = empty_figure(width + 1, height + legend + self.bottom)
            axes = placed_axes(figure, 0.75, legend, width, height)
            ramp = [colormaps["viridis"](number / max(len(rows) - 1, 1)) for number in range(len(rows))]
            self.draw(axes, rows, ramp)
            axes.tick_params(labelsize=8)
            figure.legend(loc="upper left", fontsize=7.5)
            note = f"{rows[0].first.where}{self.note}"
            figure.text(0.98, 0.015, note, ha="right", fontsize=7, color=QUIET)
            save(figure, path)


@dataclass(frozen=True)
class Analysis(Generic[M]):
    """A kind of look into networks.

    Attributes:
        name: what it is called on the command line and in the names of its files.
        title: of its page.
        legend: how its numbers are read.
        quantities: of a network; those of several are put together.
        decimals: of the numbers in the CSV.
        plot: None = there is none.
        facts: further columns: header, what machines call it, and a text of a network; without a header machines alone.
        key: networks of equal key are seeds of a row.
        order: of the rows; None = as they come.
        about: of a network: what the page is about.
        part: of a network: heading of the part of the page that it stands in; empty = there is none.
        heading: of a section.
        is_long: whether the CSV has a line per number, and not a column.
    """

    name: str
    title: str
    legend: str
    quantities: Callable[[M], Sequence[Quantity[M]]]
    decimals: int = 4
    plot: Plot[M] | None = None
    facts: Sequence[tuple[str, str, Callable[[M], str]]] = ()
    key: Callable[[M], Hashable] = lambda one: one.record.group_hash
    order: Callable[[Row[M]], Any] | None = None
    about: Callable[[M], str] = lambda one: one.where
    part: Callable[[M], str] = lambda one: ""
    heading: str = "{}"
    is_long: bool = False

    def rows(self, measured: Iterable[M]) -> list[Row[M]]:
        """One row per group of jobs."""
        rows = [Row(group) for group in _grouped(measured, self.key)]
        return rows if self.order is None else sorted(rows, key=self.order)

    def write(self, measured: Sequence[M], folder: Path) -> list[Path]:
        """Writes ``NAME-BOARD-HASH8`` as .md, .csv and, where there is a plot, .png, of networks under one protocol."""
        record = measured[0].record
        page = folder / f"{self.name}-{record.benchmark.replace('/', '-')}-{record.ranking_hash[:8]}.md"
        written = write_with_csv(page, self.markdown(measured), self._csv(measured))
        if self.plot is None:
            return written
        self.plot.write(self.rows(measured), page.with_suffix(".png"))
        return [*written, page.with_suffix(".png")]

    def markdown(self, measured: Sequence[M]) -> str:
        """The page, of networks under one protocol."""
        first = self.rows(measured)[0].first
        texts = [f"# {self.title}: {formatting.markdown(self.about(first))}", self.legend]
        for group in _grouped(measured, self.part):
            part = self.part(group[0])
            texts += [f"## {formatting.markdown(part)}"] if part else []
            texts += self._tables(group)
        return "\n\n".join(texts) + "\n"

    def _tables(self, measured: Sequence[M]) -> list[str]:
        """A heading, where it has one, and a table per section."""
        rows = self.rows(measured)
        known = {(one.section, one.header): one for network in measured for one in self.quantities(network)}
        texts = []
        for section in dict.fromkeys(one.section for one in known.values()):
            shown = [one for one in known.values() if one.section == section]
            columns = [*self._described(), *(number(q.header, q.text) for q in shown)]
            texts += [self.heading.format(section)] if section else []
            texts.append(Table(columns, rows).to_markdown())
        return texts

    def _described(self) -> list[Column[Row[M]]]:
        """What tells rows apart."""
        return [
            column("method", "first.name"),
            *(column(header, "first", text) for header, _, text in self.facts if header),
            column("network", "first.record.network.name"),
            column("settings", lambda row: row.settings or "default"),
            column("seeds", lambda row: formatting.seed_list(one.record.seed for one in row.measured)),
        ]

    def _csv(self, measured: Iterable[M]) -> str:
        lines = [line for one in measured for line in self._lines(one)]
        return Table([machine(key, itemgetter(key)) for key in lines[0]], lines).to_csv(self.decimals)

    def _lines(self, one: M) -> Iterator[dict[str, Any]]:
        """A line of the CSV per network, or per number of it."""
        record = one.record
        described = {
            "benchmark": record.benchmark,
            "method": record.method,
            "network": record.network.name,
            "overrides": formatting.assignments(record.overrides),
            "seed": record.seed,
            "split": one.split,
            "images": one.images,
            **{key: text(one) for _, key, text in self.facts},
        }
        numbers: list[dict[str, Any]] = [{q.key or q.header: q.value(one) for q in self.quantities(one)}]
        if self.is_long:
            numbers = [
                {"section": q.section, "score": q.header, "percent": q.value(one)}
                for q in self.quantities(one)
            ]
        for line in numbers:
            yield {**described, **line, "job_hash": record.job_hash}


def _grouped(measured: Iterable[M], key: Callable[[M], Hashable]) -> list[list[M]]:
    """Groups of equal key, in the order in which they come."""
    groups: dict[Hashable, list[M]] = {}
    for one in measured:
        groups.setdefault(key(one), []).append(one)
    return list(groups.values())
