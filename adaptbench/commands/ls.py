"""``ls``: what there is. Imports no torch and no plug-in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from rich.table import Column, Table

from adaptbench.commands.output import cell, console, print_json, say
from adaptbench.contracts import plugins
from adaptbench.contracts.profiles import PROFILES
from adaptbench.contracts.protocols import PROTOCOLS
from adaptbench.errors import RunStateError
from adaptbench.flags import Ls
from adaptbench.records import documents, formatting
from adaptbench.records.documents import Unreadable
from adaptbench.records.jobspec import State, Status, load_job, read_status

_Row = Mapping[str, Any]


class _List(NamedTuple):
    """A list: rows of values, the headers of those that a table shows, and how it shows some of them."""

    title: str
    headers: Mapping[str, str]
    rows: Sequence[_Row]
    texts: Mapping[str, Callable[[_Row], str]] = MappingProxyType({})


def execute(command: Ls) -> int:
    """Prints the lists asked for."""
    registry = plugins.discover(command.plugins)
    lists: dict[str, Callable[[], _List]] = {
        "methods": lambda: _plugins(registry, "method", "Methods", paper="paper", tags="tags"),
        "benchmarks": lambda: _benchmarks(registry),
        "datasets": lambda: _plugins(registry, "dataset", "Datasets", licence="licence", homepage="homepage"),
        "studies": lambda: _plugins(
            registry, "study", "Studies (--study NAME)", paper="paper", table="table"
        ),
        "profiles": _profiles,
        "protocols": _protocols,
        "runs": lambda: _runs(command.out),
    }
    shown = {what: lists[what]() for what in command.what}
    notes = console(command.json)
    if command.json:
        print_json({what: found.rows for what, found in shown.items()})
    else:
        for found in shown.values():
            notes.print(_table(found))
    for file, reason in registry.broken:
        say(notes, f"left out {file}: {reason}", "yellow")
    return 0


def _table(found: _List) -> Table:
    columns = [Column(header, overflow="fold") for header in found.headers.values()]
    table = Table(
        *columns, title=cell(found.title), title_justify="left", box=None, header_style="bold", pad_edge=False
    )
    for row in found.rows:
        table.add_row(*(cell(_text(found, row, key)) for key in found.headers))
    return table


def _text(found: _List, row: _Row, key: str) -> str:
    if key in found.texts:
        return found.texts[key](row)
    value = row.get(key)
    if isinstance(value, list | tuple):
        return ", ".join(value)
    return "" if value is None else str(value)


def _plugins(registry: plugins.Registry, kind: str, title: str, **headers: str) -> _List:
    """Plug-ins of a kind, with the literals that ``headers`` names."""
    shown = {"name": "name", "title": "title", **headers}
    found = registry.plugins[kind]
    rows = [{key: found[name].literals.get(key) for key in shown} for name in registry.names(kind)]
    return _List(title, shown, rows)


def _benchmarks(registry: plugins.Registry) -> _List:
    title = "Benchmarks (minicity/NAME: the same on generated data)"
    found = _plugins(registry, "benchmark", title, class_set="class set", setting="setting")
    return found._replace(rows=[{**row, "setting": row["setting"] or "uda"} for row in found.rows])


def _profiles() -> _List:
    rows = [{"name": name, "title": profile.title} for name, profile in PROFILES.items()]
    return _List("Profiles", {"name": "name", "title": "what"}, rows)


def _protocols() -> _List:
    facts = {
        "title": "what",
        "training": "training of the paper",
        "inference": "its test",
        "source": "source",
    }
    rows = [
        {"name": name, **{key: getattr(known, key) for key in facts}} for name, known in PROTOCOLS.items()
    ]
    return _List("Protocols (--protocol NAME)", {"name": "name", **facts}, rows)


def _runs(out: Path) -> _List:
    headers = {key: key for key in ("method", "benchmark", "seed", "state", "miou", "overrides", "folder")}
    headers |= {"miou": "mIoU (class set, split)", "overrides": "changed settings"}
    texts: dict[str, Callable[[_Row], str]] = {
        "state": _state,
        "miou": lambda row: "" if row.get("miou") is None else f"{row['miou']:.2f} ({row['scored']})",
        "folder": lambda row: Path(row["folder"]).name,
    }
    files, closed = documents.find(out, "runs", "job.json")
    rows = [*map(_unreadable, closed), *(_run(file.parent) for file in files)]
    return _List(f"Runs in {out}", headers, rows, texts)


def _unreadable(problem: Unreadable) -> _Row:
    return {"method": "?", "state": "unreadable", "reason": problem.reason, "folder": problem.path}


def _state(row: _Row) -> str:
    if row["state"] == "unreadable":
        return str(row["reason"])
    return f"{row['state']} (smoke run of {row['limit']} iterations)" if row["smoke"] else str(row["state"])


def _miou(folder: Path, status: Status) -> float | None:
    """The ranked score as reports show it, which is averaged anew for runs of earlier versions; None without one."""
    if status.state is not State.DONE or not (folder / "record.json").exists():
        return status.miou
    from adaptbench.records.kept import load_kept

    return load_kept(folder / "record.json").scores[0].miou


def _run(folder: Path) -> _Row:
    try:
        return _readable(folder)
    except RunStateError as error:
        return {"method": "?", "state": "unreadable", "reason": str(error), "folder": str(folder)}


def _readable(folder: Path) -> _Row:
    spec, status = load_job(folder), read_status(folder)
    return {
        "method": spec.method,
        "benchmark": spec.board,
        "seed": spec.seed,
        "state": str(status.state),
        "reason": status.reason or None,
        "smoke": spec.limit is not None,
        "limit": spec.limit,
        "miou": _miou(folder, status),
        "scored": status.scored or None,
        "overrides": formatting.assignments(spec.overrides),
        "job_hash": spec.job_hash,
        "folder": str(folder),
    }
