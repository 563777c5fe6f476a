"""``run``: plan, generate what is missing, run, report."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from adaptbench import plugins
from adaptbench.commands.report import show_boards, show_studies
from adaptbench.data import sources
from adaptbench.errors import UsageError
from adaptbench.flags import EXIT_UNFINISHED, Run
from adaptbench.jobspec import DataSource, State
from adaptbench.launch.local import Progress as JobProgress
from adaptbench.launch.local import discard, prepare, run_jobs, to_do
from adaptbench.launch.views import LiveView, LogView, job_name
from adaptbench.plan import Job, Plan, make_plan
from adaptbench.profiles import profile
from adaptbench.reporting import words
from adaptbench.reporting.records import FoundRecords, scan_records
from adaptbench.reporting.series import save_series, series_of
from adaptbench.reporting.tracking.beside import followed
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
        (_show_study_plan if plan.study else _show_plan)(console, plan)
        return EXIT_UNFINISHED if plan.broken else 0
    jobs = [discard(job, command.out) for job in plan.jobs] if command.force else plan.jobs
    _note_study(plan, command)
    prepare(jobs)
    generate_missing(console, [entry for job in to_do(jobs) for entry in _sources(job)])
    concurrency = command.jobs or default_concurrency(command.profile, jobs)

    def tell(text: str) -> None:
        console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    folders = [job.folder for job in to_do(jobs)]
    with (
        followed(command.tracking, folders, command.out.resolve(), tell),
        LiveView(console) if console.is_terminal else LogView(console) as view,
    ):
        ended = run_jobs(jobs, concurrency, view)
    if command.debug_pictures is not None:
        _show_pictures(console, ended)
    finished = scan_records(command.out)
    unfinished = _summary(console, ended, command.out, finished)
    if plan.study is not None:
        show_studies(console, command.out, finished, plan.study.name)
    return unfinished or (EXIT_UNFINISHED if plan.broken else 0)


def request_of(command: Run) -> Request:
    """The plan request behind the flags.

    Raises:
        UsageError: a flag's value makes no sense.
    """
    for flag in ("methods", "benchmarks", "seeds"):
        if getattr(command, flag) == ():
            raise UsageError(f"--{flag}: give at least one.")
    if command.study is not None and command.methods is not None:
        raise UsageError(f"--study {command.study} says itself which methods are run. Leave --methods out.")
    if command.limit is not None and command.limit < 1:
        raise UsageError(f"--limit {command.limit}: give at least 1 iteration.")
    if command.jobs is not None and command.jobs < 1:
        raise UsageError(f"--jobs {command.jobs}: give at least 1.")
    if command.debug_pictures is not None and command.debug_pictures < 1:
        raise UsageError(f"--debug-pictures {command.debug_pictures}: give at least 1 iteration.")
    benchmarks, plugin_files = _named(command.benchmarks or ())
    return Request(
        methods=command.methods or Request.methods,
        benchmarks=benchmarks or (() if command.study else Request.benchmarks),
        seeds=command.seeds,
        profile=command.profile,
        data=command.data,
        data_root=command.data_root,
        data_paths=parse_paths(command.data_path),
        out=command.out.resolve(),
        settings=command.set,
        limit=command.limit,
        debug_pictures=command.debug_pictures,
        protocol=command.protocol,
        checkpoint=command.checkpoint,
        activation_checkpointing=command.activation_checkpointing,
        device=command.device,
        plugins=(*command.plugins, *plugin_files),
        study=command.study,
    )


def _named(benchmarks: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Names of benchmarks, and the YAML files among ``benchmarks``, which are plug-ins to be found."""
    from adaptbench import described

    names, found = [], []
    for text in benchmarks:
        if Path(text).suffix not in plugins.DESCRIPTIONS:
            names.append(text)
            continue
        path = Path(text).expanduser()
        kind, name, _ = described.facts(path)
        if kind != "benchmark":
            raise UsageError(f"--benchmarks {text}: this file describes a dataset. Name one of a benchmark.")
        names.append(name)
        found.append(path)
    return names, found


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


def _sources(job: Job) -> list[tuple[str, DataSource]]:
    """Datasets of a job with their sources, those of splits that are scored beside included."""
    beside = ((split.partition("/")[0], source) for split, source in job.spec.also.items())
    return [*job.spec.data.items(), *beside]


def _note_study(plan: Plan, command: Run) -> None:
    """Keeps which jobs are which variant, so that reports find them among all records."""
    if plan.study is None:
        return
    file = Path(inspect.getfile(plan.study))
    place = None if plugins.in_checkout(file) else file
    jobs = [(plan.variants[job.folder], job.spec) for job in plan.jobs]
    for series in series_of(plan.study.name, place, command.set, jobs):
        save_series(series, command.out)


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


def _show_study_plan(console: Console, plan: Plan) -> None:
    """Per benchmark one row per variant: how its settings differ from those of its method, and its seeds."""
    rows: dict[str, dict[str, list[Job]]] = {}
    for job in plan.jobs:
        rows.setdefault(job.spec.board, {}).setdefault(plan.variants[job.folder], []).append(job)
    for board, variants in rows.items():
        columns = (Column("variant"), Column("method"), Column("differs in", overflow="fold"))
        table = Table(*columns, "seeds", "state", title=board, title_justify="left", box=None, pad_edge=False)
        for label, jobs in variants.items():
            spec = jobs[0].spec
            differs = [f"{key}={words.value(content)}" for key, content in sorted(spec.overrides.items())]
            states = [f"{job.state}: {job.reason}" if job.reason else str(job.state) for job in jobs]
            table.add_row(
                Text(label),
                spec.method,
                Text("\n".join(differs) or "nothing"),
                words.seed_list(job.spec.seed for job in jobs),
                Text("\n".join(dict.fromkeys(states))),
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


def _summary(console: Console, ended: Sequence[JobProgress], out: Path, finished: FoundRecords) -> int:
    """Shows the leaderboards and everything that is not done."""
    boards = {progress.job.spec.board for progress in ended}
    show_boards(console, out, finished, boards)
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
