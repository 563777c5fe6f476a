"""Progress bars of the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adaptbench.commands.output import say


@contextmanager
def bars(console: Console) -> Iterator[Callable[[str, int], Callable[[int], None]]]:
    """A bar for every piece of work on a terminal, and a line for it elsewhere; while the block runs.

    The block is given what shows that work on so many images begins, and returns what is told how many are done.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) if console.is_terminal else nullcontext() as progress:

        def add(text: str, images: int) -> Callable[[int], None]:
            if progress is None:
                say(console, f"{text}: {images} images")
                return lambda done: None
            bar = progress.add_task(text, total=images)
            return lambda done: progress.update(bar, completed=done)

        yield add
