"""``clean``: removes what finished runs leave in the stages of a results folder and nobody asks for."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.prompt import Confirm
from rich.table import Column, Table

from adaptbench.commands.output import cell, say
from adaptbench.errors import UsageError
from adaptbench.execution.stages.cleaning import Kind, Leftover, leftovers, remove
from adaptbench.flags import EXIT_UNFINISHED, Clean
from adaptbench.records import formatting


def execute(command: Clean) -> int:
    """Shows what may go, asks, and removes it.

    Raises:
        UsageError: there is no such results folder, or nobody can be asked.
        RunStateError: it cannot be told what a run needs, or a file cannot be removed.
    """
    console, out = Console(), command.out.resolve()
    if not out.is_dir():
        raise UsageError(f"--out {command.out}: there is no such results folder.")
    found = leftovers(out, command.keep_weights)
    if not found:
        say(console, f"Nothing to remove in {out / 'stages'}.")
        return 0
    console.print(_table(found))
    if command.dry_run:
        return 0
    if not _wanted(console, command):
        return EXIT_UNFINISHED
    removed = remove(out, command.keep_weights, among=found)
    say(console, f"Removed {_total(removed)} of {_total(found)}.")
    return 0


def _wanted(console: Console, command: Clean) -> bool:
    if command.yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("clean: nobody can be asked here. Say --yes to remove this, or --dry-run to look.")
    try:
        return Confirm.ask(
            "Remove them? Weights come back by training alone.", console=console, default=False
        )
    except EOFError:
        return False


def _table(found: Sequence[Leftover]) -> Table:
    table = Table(
        "what", *(Column(header, justify="right") for header in ("stages", "size")), box=None, pad_edge=False
    )
    for kind in Kind:
        alike = [one for one in found if one.kind is kind]
        table.add_row(cell(kind), str(len({one.stage for one in alike})), _total(alike))
    table.add_row("together", str(len({one.stage for one in found})), _total(found))
    return table


def _total(found: Sequence[Leftover]) -> str:
    return formatting.memory(sum(one.size for one in found) / 2**20)
