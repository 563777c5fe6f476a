"""``contribute``: finished runs as zips that others can check and merge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from adaptbench.commands.output import say
from adaptbench.contracts import plugins
from adaptbench.errors import RunStateError, UsageError
from adaptbench.flags import EXIT_UNFINISHED, Contribute
from adaptbench.submissions.checks import Known, objections
from adaptbench.submissions.pack import pack, read_folder


def execute(command: Contribute) -> int:
    """Packs every run that would be taken, and says why another would not; 0 if all were packed."""
    console, registry, refused = Console(), plugins.discover(), 0
    for folder in (folder for path in command.runs for folder in _jobs(path)):
        try:
            wrong = list(map(str, objections(read_folder(folder), Known(registry, {}))))
            if not wrong:
                say(console, f"{pack(folder, command.to)}")
        except RunStateError as error:
            wrong = [f"[run] {error}"]
        refused += bool(wrong)
        for reason in wrong:
            say(console, f"not packed {folder}: {reason}", "yellow")
    return EXIT_UNFINISHED if refused else 0


def _jobs(path: Path) -> Iterator[Path]:
    """The job folder ``path``, or all finished jobs of the results folder ``path``."""
    if (path / "record.json").exists():
        yield path
        return
    found = sorted(file.parent for file in (path / "runs").rglob("record.json"))
    if not found:
        raise UsageError(
            f"{path} is neither the folder of a finished run nor a results folder with finished runs."
        )
    yield from found
