"""``docs``: the pages of methods, datasets and building blocks."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from adaptbench.commands.output import say
from adaptbench.contracts import plugins
from adaptbench.flags import EXIT_UNFINISHED, Docs
from adaptbench.handbook.write import FOLDER, pages, stale, write_pages


def execute(command: Docs) -> int:
    """Writes the pages, or says which are missing or not up to date."""
    console, registry = Console(), plugins.discover()
    if command.check:
        missing = [FOLDER / path for path in pages(registry) if not (FOLDER / path).exists()]
        wrong = sorted({*stale(registry), *missing})
        _list(console, "not up to date", wrong)
        return EXIT_UNFINISHED if wrong else 0
    _list(console, "written", write_pages(registry))
    return 0


def _list(console: Console, what: str, paths: list[Path]) -> None:
    for path in paths:
        say(console, f"{what}: {path}")
