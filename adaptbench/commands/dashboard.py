"""``dashboard``: a workspace and a report of Weights & Biases for what a results folder holds."""

from __future__ import annotations

import importlib.util
import json

from rich.console import Console

from adaptbench.commands.output import say
from adaptbench.errors import UsageError
from adaptbench.flags import Dashboard
from adaptbench.records.found import find_records
from adaptbench.reporting.board import boards
from adaptbench.storage.atomic import write_text


def execute(command: Dashboard) -> int:
    """Makes the dashboard on the server, or writes its specification."""
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise UsageError(
            "dashboard needs the package wandb-workspaces, which is not installed. "
            "Install it with: pip install 'adaptbench[dashboard]'."
        )
    from adaptbench.tracking import dashboard

    found = [board for board in boards(find_records(command.out)) if board.finished]
    if not found:
        raise UsageError(
            f"{command.out} holds no finished run to show. Run something first, or name it with --out."
        )
    console = Console()
    if command.spec is not None:
        made = dashboard.specification(found, command.project, command.entity or "")
        write_text(command.spec, json.dumps(made, indent=1) + "\n", "--spec")
        say(console, f"Specification: {command.spec}")
        return 0
    for address in dashboard.send(found, command.project, command.entity):
        say(console, address)
    return 0
