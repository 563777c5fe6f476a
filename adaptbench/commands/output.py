"""Standard output: tables for people, whole lines for pipes, JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console

#: Wide enough for every line where nobody looks at a terminal.
WIDE = 10_000


def console(json: bool = False) -> Console:
    """Where tables and notes go: to stderr where stdout is for JSON. In a file or a pipe no line is folded."""
    file = sys.stderr if json else sys.stdout
    return Console(file=file, width=None if file.isatty() else WIDE)


def say(to: Console, text: str, style: str = "") -> None:
    """A line of plain text, which is neither folded nor read as markup."""
    to.print(text, style=style, soft_wrap=True, highlight=False, markup=False)


def print_json(content: Any) -> None:
    """Prints ``content`` as JSON."""
    sys.stdout.write(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
