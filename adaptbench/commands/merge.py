"""``merge``: contributed runs into a results folder, if they hold."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from adaptbench.commands.output import say
from adaptbench.contracts import plugins
from adaptbench.errors import UsageError
from adaptbench.flags import EXIT_UNFINISHED, Merge
from adaptbench.submissions.merging import merge


def execute(command: Merge) -> int:
    """Adds what holds and names the check that anything else fails; 0 if all were added."""
    for path in command.files:
        if not path.is_file():
            raise UsageError(f"merge {path}: no such file. Nothing was merged.")
    console, registry, rejected = Console(), plugins.discover(command.plugins), 0
    for path, outcome in merge(command.files, command.out, registry):
        if isinstance(outcome, Path):
            say(console, f"merged {path}: {outcome}")
            continue
        rejected += 1
        for objection in outcome:
            say(console, f"rejected {path}: {objection}", "red")
    return EXIT_UNFINISHED if rejected else 0
