"""``ls``: what there is. Imports no torch and no plug-in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from adaptbench.contracts import plugins
from adaptbench.contracts.profiles import PROFILES
from adaptbench.contracts.protocols import PROTOCOLS
from adaptbench.errors import RunStateError
from adaptbench.flags import Ls
from adaptbench.records.jobspec import load_job, read_status


def execute(command: Ls) -> int:
    """Prints the lists asked for."""
    console = Console()
    registry = plugins.discover(command.plugins)
    tables: dict[str, Callable[[], Table]] = {
        "methods": lambda: _methods(registry),
        "benchmarks": lambda: _benchmarks(registry),
        "datasets": lambda: _datasets(registry),
        "studies": lambda: _studies(registry),
        "profiles": _profiles,
        "protocols": _protocols,
        "runs": lambda: _runs(command.out),
    }
    for what in command.what:
        console.print(tables[what]())
    for file, reason in registry.broken:
        console.print(f"left out {file}: {reason}", style="yellow", markup=False, soft_wrap=True)
    return 0


def _table(title: str, *headers: str) -> Table:
    columns = [Column(header, overflow="fold") for header in headers]
    return Table(*columns, title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)


def _methods(registry: plugins.Registry) -> Table:
    table = _table("Methods", "name", "title", "paper", "tags")
    for name in registry.names("method"):
        plugin = registry.plugins["method"][name]
        tags = ", ".join(plugin.literals["tags"])
        table.add_row(name, Text(plugin.title), str(plugin.literals.get("paper") or ""), tags)
    return table


def _benchmarks(registry: plugins.Registry) -> Table:
    table = _table(
        "Benchmarks (minicity/NAME: the same on generated data)", "name", "title", "class set", "setting"
    )
    for name in registry.names("benchmark"):
        literals = registry.plugins["benchmark"][name].literals
        table.add_row(
            name, Text(str(literals["title"])), literals["class_set"], literals.get("setting", "uda")
        )
    return table


def _datasets(registry: plugins.Registry) -> Table:
    table = _table("Datasets", "name", "title", "licence", "homepage")
    for name in registry.names("dataset"):
        literals = registry.plugins["dataset"][name].literals
        table.add_row(
            name, Text(str(literals["title"])), Text(str(literals["licence"])), str(literals["homepage"])
        )
    return table


def _studies(registry: plugins.Registry) -> Table:
    table = _table("Studies (--study NAME)", "name", "title", "paper", "table")
    for name in registry.names("study"):
        literals = registry.plugins["study"][name].literals
        title, mirrored = Text(str(literals["title"])), Text(str(literals["table"]))
        table.add_row(name, title, str(literals.get("paper") or ""), mirrored)
    return table


def _profiles() -> Table:
    table = _table("Profiles", "name", "what")
    for name, profile in PROFILES.items():
        table.add_row(name, profile.title)
    return table


def _protocols() -> Table:
    table = _table(
        "Protocols (--protocol NAME)", "name", "what", "training of the paper", "its test", "source"
    )
    for name, protocol in PROTOCOLS.items():
        table.add_row(name, protocol.title, protocol.training, protocol.inference, protocol.source)
    return table


def _runs(out: Path) -> Table:
    table = _table(
        f"Runs in {out}", "method", "benchmark", "seed", "state", "mIoU (class set, split)", "folder"
    )
    for file in sorted((out / "runs").glob("**/job.json")):
        folder = file.parent
        status = read_status(folder)
        score = "" if status.miou is None else f"{status.miou:.2f} ({status.scored})"
        try:
            spec = load_job(folder)
        except RunStateError as error:
            table.add_row("?", "", "", Text(str(error)), "", str(folder))
            continue
        table.add_row(spec.method, spec.board, str(spec.seed), str(status.state), score, folder.name)
    return table
