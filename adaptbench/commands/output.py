"""Standard output: tables for people, whole lines for pipes, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text

from adaptbench.errors import RunStateError, printable

Noted = Callable[[], AbstractContextManager[None]]
#: Wide enough for every line where nobody looks at a terminal.
WIDE = 10_000


def console(json: bool = False) -> Console:
    """Where tables and notes go: to stderr where stdout is for JSON. In a file or a pipe no line is folded."""
    file = sys.stderr if json else sys.stdout
    return Console(file=file, width=None if file.isatty() else WIDE)


def say(to: Console, text: str, style: str = "") -> None:
    """A line of plain text, which is neither folded nor read as markup, nor obeyed by the terminal."""
    to.print(printable(text), style=style, soft_wrap=True, highlight=False, markup=False)


def cell(text: object) -> Text:
    """A cell, or a title, of a table, likewise."""
    return Text(printable(str(text)))


@contextmanager
def finally_raised() -> Iterator[Noted]:
    """Gives what notes a RunStateError of a step, so that others follow, and raises the first when all is done."""
    first: list[RunStateError] = []

    @contextmanager
    def noted() -> Iterator[None]:
        try:
            yield
        except RunStateError as error:
            first.append(error)

    yield noted
    if first:
        raise first[0]


def print_json(content: Any) -> None:
    """Prints ``content`` as JSON."""
    sys.stdout.write(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
