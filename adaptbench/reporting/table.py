"""A table: columns over lines. The same lines give the same bytes in every output."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from adaptbench.errors import printable
from adaptbench.records import formatting
from adaptbench.reporting.columns import Column
from adaptbench.storage import atomic

if TYPE_CHECKING:
    import rich.table
    import wandb

R = TypeVar("R")
#: What sets the best and the second cell apart.
_MARKDOWN = {1: "**{}**"}
_LATEX = {1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}


@dataclass(frozen=True)
class Table(Generic[R]):
    """Columns, and what they have a line of."""

    columns: Sequence[Column[R]]
    lines: Sequence[R]

    @cached_property
    def shown(self) -> list[Column[R]]:
        """The columns for people."""
        return [
            column
            for column in self.columns
            if column.header
            and not (column.optional and all(column.value(line) is None for line in self.lines))
        ]

    @property
    def headers(self) -> list[str]:
        """Headers for people."""
        return [column.header for column in self.shown]

    @property
    def texts(self) -> list[list[str]]:
        """The cells of every line for people."""
        return [[column.written(line) for column in self.shown] for line in self.lines]

    def to_markdown(self) -> str:
        """A pipe table."""
        from tabulate import tabulate

        return tabulate(
            self._marked(formatting.markdown, _MARKDOWN),
            headers=[formatting.markdown(header) for header in self.headers],
            tablefmt="pipe",
            disable_numparse=True,
            colalign=["right" if column.right else "left" for column in self.shown],
        )

    def to_csv(self, decimals: int = 4) -> str:
        """All columns with a name for machines, numbers unrounded to so many decimals."""
        keyed = Table([column for column in self.columns if column.key or column.parts], self.lines)
        names = [key for column in keyed.columns for key in column.parts or [column.key]]
        if not self.lines:  # not worth a second of importing pandas
            header = StringIO()
            csv.writer(header, lineterminator="\n").writerow(names)
            return header.getvalue()
        import pandas as pd

        lines = [
            {key: formatting.no_formula(value) for key, value in line.items()}
            for line in keyed._dicts(Column.values)
        ]
        return pd.DataFrame(lines, columns=names).to_csv(
            index=False, float_format=f"%.{decimals}f", lineterminator="\n"
        )

    def to_json(self) -> list[dict[str, Any]]:
        """A dictionary of plain values per line."""
        return self._dicts(Column.plain)

    def _dicts(self, of: Callable[[Column[R], R], dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {key: value for column in self.columns for key, value in of(column, line).items()}
            for line in self.lines
        ]

    def to_latex(self, upright: int | None = None) -> str:
        """A ``tabular`` with booktabs rules; headers from the column ``upright`` on are turned by 90 degrees."""
        import pandas as pd

        headers = [formatting.latex(header) for header in self.headers]
        turned = [rf"\rotatebox{{90}}{{{header}}}" for header in headers]
        kept = len(headers) if upright is None else upright
        frame = pd.DataFrame(
            self._marked(formatting.latex, _LATEX), columns=[*headers[:kept], *turned[kept:]]
        )
        aligned = "".join("r" if column.right else "l" for column in self.shown)
        return str(frame.style.hide(axis="index").to_latex(hrules=True, column_format=aligned))

    def to_rich(
        self,
        title: str,
        width: int | None = None,
        style: Callable[[R], str] = lambda _: "",
        ends_section: Callable[[R], bool] = lambda _: False,
    ) -> rich.table.Table:
        """The table for a terminal; texts are shown literally: square brackets in a name are not markup.

        Columns that want a wider terminal than ``width`` are named below the table; None shows them, too.
        """
        from rich.table import Table as RichTable
        from rich.text import Text

        wanted = [column for column in self.shown if column.terminal is not None]
        shown = [column for column in wanted if width is None or (column.terminal or 0) <= width]
        hidden = ", ".join(column.header for column in wanted if column not in shown)
        table = RichTable(
            title=Text(printable(title)), title_justify="left", caption_justify="left", header_style="bold"
        )
        table.caption = Text(f"no room for: {hidden}") if hidden else None
        for column in shown:
            header = column.header.replace(" (", "\n(").replace(
                ", ", ",\n"
            )  # a score's: quantity, classes, split
            table.add_column(Text(header), justify="right" if column.right else "left", overflow="fold")
        for line in self.lines:
            styles = ["bold" if column.place(line) == 1 else "" for column in shown]
            texts = (printable(column.written(line)) for column in shown)
            table.add_row(*map(Text, texts, styles), style=style(line), end_section=ends_section(line))
        return table

    def to_wandb(self) -> wandb.Table:
        """A table of Weights & Biases, with numbers as numbers, so that it can be sorted."""
        import wandb

        def cell(column: Column[R], line: R) -> float | str | None:
            if not column.right:
                return column.written(line)
            value = column.value(line)
            return None if value is None else column.number(value)

        headers = [c.header + (f" ({c.unit})" if c.unit else "") for c in self.shown]
        rows = [[cell(column, line) for column in self.shown] for line in self.lines]
        return wandb.Table(columns=headers, data=rows)

    def _marked(self, escape: Callable[[str], str], marks: Mapping[int, str]) -> list[list[str]]:
        """The cells of every line, escaped, and those that have a place set apart."""
        return [
            [marks.get(c.place(line) or 0, "{}").format(escape(c.written(line))) for c in self.shown]
            for line in self.lines
        ]


def write_with_csv(page: Path, markdown: str, csv: str) -> list[Path]:
    """Writes a page and, beside it, its CSV, and returns both paths."""
    paths = [page, page.with_suffix(".csv")]
    for path, text in zip(paths, (markdown, csv), strict=True):
        atomic.write_text(path, text)
    return paths
