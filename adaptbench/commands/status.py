"""``status``: how the jobs of a results folder stand, and who works on them. Imports no torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Column, Table

from adaptbench.commands.output import cell, console, print_json
from adaptbench.errors import UsageError
from adaptbench.flags import Status
from adaptbench.planning.estimates import Total
from adaptbench.planning.overview import JobStanding, Overview, Standing, Worker, overview
from adaptbench.records import formatting
from adaptbench.storage.claims import Watch

_LOOK_SECONDS = 5.0
#: Jobs that are shown one by one: who runs them, or why nobody does.
_NAMED = (Standing.RUNNING, Standing.WAITING, Standing.TIMEOUT, Standing.FAILED)


def execute(command: Status) -> int:
    """Shows how things stand, with --watch until nothing is left to do.

    Raises:
        UsageError: there is no such results folder, or JSON is to be watched.
    """
    if not command.out.is_dir():
        raise UsageError(f"--out {command.out}: there is no such results folder.")
    if command.json and command.watch:
        raise UsageError("--json shows how things stand now. Leave --watch out.")
    watch = Watch()
    found = overview(command.out, watch)
    if command.json:
        print_json(_as_json(found))
        return 0
    to = console()
    if not command.watch:
        to.print(_shown(found))
        return 0
    _follow(command.out, watch, found, to)
    return 0


def _follow(out: Path, watch: Watch, found: Overview, to: Console) -> None:
    with Live(_shown(found), console=to, auto_refresh=False) as live:
        while not found.is_over:
            time.sleep(_LOOK_SECONDS)
            found = overview(out, watch)
            live.update(_shown(found), refresh=True)


def _shown(found: Overview) -> RenderableType:
    counts = [f"{count} {standing}" for standing, count in found.counts.items() if count]
    lines = [f"{len(found.jobs)} jobs: {', '.join(counts) or 'none'}.", _end(found.left, found.counts)]
    named = [job for job in found.jobs if job.standing in _NAMED]
    tables = [_workers(found.workers)] if found.workers else []
    tables += [_jobs(named)] if named else []
    return Group(*(cell(line) for line in lines if line), *tables)


def _end(left: Total, counts: dict[Standing, int]) -> str:
    known = left.jobs - left.unknown
    if not left.jobs:
        return ""
    if not known:
        return "How long that takes is unknown: no finished run here is like them."
    at_once = max(1, counts[Standing.RUNNING])
    text = f"About {formatting.duration(left.at_once)} left with {at_once} at once"
    return f"{text}, and {left.unknown} without an estimate." if left.unknown else f"{text}."


def _workers(workers: Sequence[Worker]) -> Table:
    table = Table("worker", Column("heartbeat", justify="right"), "at", box=None, pad_edge=False)
    for worker in workers:
        beat = f"{formatting.duration(max(0.0, worker.silence))} ago"
        at = ", ".join(_name(job) for job in worker.jobs) or "no job"
        table.add_row(cell(worker.name), beat, cell("gone" if worker.gone else at))
    return table


def _jobs(jobs: Sequence[JobStanding]) -> Table:
    table = Table("job", "standing", Column("at, or why", overflow="fold"), box=None, pad_edge=False)
    for job in jobs:
        table.add_row(cell(_name(job)), str(job.standing), cell(_where(job)))
    return table


def _name(job: JobStanding) -> str:
    return f"{job.board}/{job.method}/{job.folder.name}"


def _where(job: JobStanding) -> str:
    status = job.status
    if job.standing is not Standing.RUNNING:
        return status.reason
    return f"{status.stage} {status.iteration}/{status.total}" if status.total else status.stage


def _as_json(found: Overview) -> dict[str, Any]:
    return {
        "counts": {str(standing): count for standing, count in found.counts.items()},
        "jobs": [_job_as_json(job) for job in found.jobs],
        "workers": [
            {
                "name": worker.name,
                "heartbeat_seconds": round(worker.silence, 1),
                "gone": worker.gone,
                "jobs": [str(job.folder) for job in worker.jobs],
            }
            for worker in found.workers
        ],
        "seconds_left": found.left.at_once if found.left.jobs > found.left.unknown else None,
        "without_estimate": found.left.unknown,
    }


def _job_as_json(job: JobStanding) -> dict[str, Any]:
    return {
        "folder": str(job.folder),
        "benchmark": job.board,
        "method": job.method,
        "standing": str(job.standing),
        "reason": job.status.reason or None,
        "stage": job.status.stage or None,
        "iteration": job.status.iteration,
        "total": job.status.total,
        "worker": job.worker or None,
    }
