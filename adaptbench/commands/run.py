"""``run``: plan, generate what is missing, run, report."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from adaptbench.commands.report import show_boards
from adaptbench.data import sources
from adaptbench.errors import UsageError
from adaptbench.flags import EXIT_UNFINISHED, Run
from adaptbench.jobspec import DataSource, State
from adaptbench.launch.local import Progress as JobProgress
from adaptbench.launch.local import discard, prepare, run_jobs, to_do
from adaptbench.launch.views import LiveView, LogView, job_name
from adaptbench.plan import Job, Plan, make_plan
from adaptbench.profiles import profile
from adaptbench.request import Request


def execute(command: Run) -> int:
    """Runs the request; 0 if every job is done or skipped by rule, and no plug-in file was left out."""
    console = Console(stderr=False)
    plan = make_plan(request_of(command))
    for file, reason in plan.broken:
        console.print(f"left out {file}: {reason}", style="yellow", markup=False, soft_wrap=True)
    for note in plan.notes:
        console.print(note, style="yellow", markup=False, soft_wrap=True)
    if command.dry_run:
        _show_plan(console, plan)
        return EXIT_UNFINISHED if plan.broken else 0
    jobs = [discard(job, command.out) for job in plan.jobs] if command.force else plan.jobs
    prepare(jobs)
    generate_missing(
        console, [(name, source) for job in to_do(jobs) for name, source in job.spec.data.items()]
    )
    concurrency = command.jobs or default_concurrency(command.profile, jobs)
    with LiveView(console) if console.is_terminal else LogView(console) as view:
        ended = run_jobs(jobs, concurrency, view)
    if command.debug_pictures is not None:
        _show_pictures(console, ended)
    return _summary(console, ended, command.out) or (EXIT_UNFINISHED if plan.broken else 0)


def request_of(command: Run) -> Request:
    """The plan request behind the flags.

    Raises:
        UsageError: a flag's value makes no sense.
    """
    for flag in ("methods", "benchmarks", "seeds"):
        if not getattr(command, flag):
            raise UsageError(f"--{flag}: give at least one.")
    if command.limit is not None and command.limit < 1:
        raise UsageError(f"--limit {command.limit}: give at least 1 iteration.")
    if command.jobs is not None and command.jobs < 1:
        raise UsageError(f"--jobs {command.jobs}: give at least 1.")
    if command.debug_pictures is not None and command.debug_pictures < 1:
        raise UsageError(f"--debug-pictures {command.debug_pictures}: give at least 1 iteration.")
    return Request(
        methods=command.methods,
        benchmarks=command.benchmarks,
        seeds=command.seeds,
        profile=command.profile,
        data=command.data,
        data_root=command.data_root,
        data_paths=parse_paths(command.data_path),
        out=command.out.resolve(),
        settings=command.set,
        limit=command.limit,
        debug_pictures=command.debug_pictures,
        device=command.device,
        plugins=command.plugins,
    )


def parse_paths(texts: Sequence[str]) -> dict[str, Path]:
    """``DATASET=PATH`` options as a mapping.

    Raises:
        UsageError: not of that form.
    """
    paths = {}
    for text in texts:
        name, separator, path = text.partition("=")
        if not separator or not name or not path:
            raise UsageError(f"--data-path {text!r}: expected DATASET=PATH, for example gta5=/data/gta5.")
        paths[name] = Path(path).expanduser()
    return paths


def default_concurrency(profile_name: str, jobs: Sequence[Job]) -> int:
    """Jobs at once: one on a GPU, else as many as fit into the cores this process may use."""
    if any(job.spec.device == "cuda" for job in jobs):
        return 1
    return max(1, len(os.sched_getaffinity(0)) // profile(profile_name).threads)


def generate_missing(console: Console, wanted: Sequence[tuple[str, DataSource]]) -> None:
    """Generates what the cache lacks of the sources of datasets, and shows how far it is."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ExitStack() as stack:

        def announce(name: str, count: int) -> Callable[[int, int], None]:
            console.print(
                f"Generating {count} MiniCity pictures in the layout of {name} (generated data, not the real {name})."
            )
            if not console.is_terminal:
                return lambda done, total: None
            bar = stack.enter_context(Progress(*columns, console=console))
            task = bar.add_task(f"MiniCity {name}", total=count)
            return lambda done, total: bar.update(task, completed=done)

        sources.generate(wanted, announce)


def _show_plan(console: Console, plan: Plan) -> None:
    headers = ("method", "benchmark", "seed", "network", "iterations", "state", "folder")
    table = Table(*(Column(header, overflow="fold") for header in headers), box=None, pad_edge=False)
    for job in plan.jobs:
        spec = job.spec
        state = f"{job.state}: {job.reason}" if job.reason else str(job.state)
        table.add_row(
            spec.method,
            spec.board,
            str(spec.seed),
            str(spec.settings["network"]),
            str(spec.settings["iterations"]),
            state,
            job.folder.name,
        )
    console.print(table)


def _show_pictures(console: Console, ended: Sequence[JobProgress]) -> None:
    """Says where debug pictures are, and for which finished jobs there are none."""
    for progress in ended:
        folder = progress.job.folder / "debug"
        text = f"debug pictures of {job_name(progress)}: "
        if any(folder.rglob("*.png")):
            text += str(folder)
        elif progress.status.state is State.DONE:
            text += "none, since its training was in the store already; --force trains it again."
        else:
            continue
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _summary(console: Console, ended: Sequence[JobProgress], out: Path) -> int:
    """Shows the leaderboards and everything that is not done."""
    boards = {progress.job.spec.board for progress in ended}
    show_boards(console, out, boards)
    unfinished = [p for p in ended if p.status.state not in (State.DONE, State.SKIPPED)]
    for progress in unfinished:
        reason = progress.status.reason or "not started"
        console.print(
            f"{job_name(progress)}: {progress.status.state}. {reason}",
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        trace = progress.job.folder / "traceback.txt"
        if trace.exists():
            console.print(f"  traceback: {trace}", markup=False, highlight=False, soft_wrap=True)
    return EXIT_UNFINISHED if unfinished else 0
