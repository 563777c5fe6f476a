"""Progress bars of the commands."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adaptbench.commands.output import say


class Bars:
    """A bar for every piece of work on a terminal, and a line for it elsewhere.

    Args:
        console: where they are shown.
        stack: takes them away when it is left.
    """

    def __init__(self, console: Console, stack: ExitStack) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._console = console
        self._progress = (
            stack.enter_context(Progress(*columns, console=console)) if console.is_terminal else None
        )

    def add(self, text: str, images: int) -> Callable[[int], None]:
        """Shows that work on this many images begins; returns what is told how many are done."""
        progress = self._progress
        if progress is None:
            say(self._console, f"{text}: {images} images")
            return lambda done: None
        bar = progress.add_task(text, total=images)
        return lambda done: progress.update(bar, completed=done)
