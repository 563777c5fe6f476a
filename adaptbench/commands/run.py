"""``run``: plan, generate what is missing, run, report."""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.prompt import Confirm

from adaptbench.commands import dry_run, slurm
from adaptbench.commands.output import Noted, finally_raised, say
from adaptbench.commands.progress import bars
from adaptbench.commands.report import show_boards, show_studies
from adaptbench.contracts import plugins, stand_ins
from adaptbench.contracts.profiles import profile
from adaptbench.data.image_cache import require_usable
from adaptbench.errors import UsageError
from adaptbench.execution.launch.local import Progress as JobProgress
from adaptbench.execution.launch.local import run_jobs
from adaptbench.execution.launch.machine import Machine, machine_for
from adaptbench.execution.launch.preparing import anew, discard, not_finished, prepared, to_do
from adaptbench.execution.launch.time_limit import TimeLimit
from adaptbench.execution.launch.views import job_name, view_on
from adaptbench.execution.launch.workers import registered
from adaptbench.flags import EXIT_UNFINISHED, Run, experiment
from adaptbench.flags.options import require_positive
from adaptbench.planning import sources
from adaptbench.planning.estimates import expected_costs
from adaptbench.planning.given import Given
from adaptbench.planning.plan import Job, Plan, make_plan
from adaptbench.planning.request import Request, parse_paths
from adaptbench.records import formatting
from adaptbench.records.found import FoundRecords, scan_records
from adaptbench.records.jobspec import DataSource, State
from adaptbench.reporting.studies.series import save_series, series_of
from adaptbench.tracking.follower import followed


def execute(command: Run) -> int:
    """Runs the request; 0 if every job is done or skipped by rule, and no plug-in file was left out."""
    console = Console()
    plan = planned(console, command)
    left_out = EXIT_UNFINISHED if plan.broken else 0
    jobs = not_finished(plan.jobs) if command.only_failed else plan.jobs
    chosen = replace(plan, jobs=[anew(job) for job in jobs] if command.force else jobs)
    if command.only_failed and not chosen.jobs:
        say(console, _none_failed(plan))
        return left_out
    if command.write_config is not None:
        experiment.save(command, command.write_config)
        say(console, f"written {command.write_config}")
    if command.launcher == "slurm":
        return _submitted(console, command, chosen) or left_out
    if command.cluster is not None or command.requeue:
        raise UsageError("--cluster and --requeue are for workers on Slurm. Say --launcher slurm, too.")
    machine = machine_for("cuda" if any(job.spec.device == "cuda" for job in chosen.jobs) else "cpu")
    concurrency = concurrency_of(console, command, machine, len(to_do(chosen.jobs)))
    if command.dry_run:
        dry_run.show(console, chosen, command.out, concurrency)
        return left_out
    if not _wanted(console, command, chosen.jobs, concurrency):
        return EXIT_UNFINISHED
    if command.force:
        discard(chosen.jobs, command.out)
    note_study(plan, command)
    ended = run_jobs_of(command, console, chosen.jobs, concurrency, machine)
    if command.debug_images is not None:
        _show_images(console, ended)
    finished = scan_records(command.out)
    with finally_raised() as noted:
        unfinished = _summary(console, ended, command.out, finished, noted)
        if plan.study is not None:
            show_studies(console, command.out, finished, {plan.study.name}, noted=noted)
    return unfinished or left_out


def _submitted(console: Console, command: Run, plan: Plan) -> int:
    """Lets workers on Slurm run a plan, if it is wanted."""
    if not command.dry_run and not _wanted(console, command, plan.jobs, 1):
        return EXIT_UNFINISHED
    slurm.execute(console, command, plan)
    return 0


def planned(console: Console, command: Run) -> Plan:
    """The plan of a command; what had to be left out, and what a user must know, is said."""
    if command.timeout is not None:
        TimeLimit.parse(command.timeout)
    plan = make_plan(request_of(command))
    for text in (*(f"left out {file}: {reason}" for file, reason in plan.broken), *plan.notes):
        say(console, text, "yellow")
    return plan


def run_jobs_of(
    command: Run,
    console: Console,
    jobs: Sequence[Job],
    concurrency: int,
    machine: Machine,
    *,
    stay: bool = True,
) -> list[JobProgress]:
    """Generates the data that is missing, and runs jobs as `run_jobs` does."""
    limit = None if command.timeout is None else TimeLimit.parse(command.timeout)
    workers = _workers(command, machine, min(concurrency, max(1, len(to_do(jobs)))))
    jobs = [_with_workers(job, workers) for job in jobs]
    with prepared(jobs):
        generate_missing(console, [entry for job in to_do(jobs) for entry in _sources(job)])
        folders, out = [job.folder for job in to_do(jobs)], command.out.resolve()
        tell = partial(say, console, style="yellow")
        with followed(command.tracking, folders, out, tell), registered(out), view_on(console) as view:
            return run_jobs(jobs, concurrency, view, machine.gpus, limit, stay=stay)


def request_of(command: Run) -> Request:
    """The plan request behind the flags; a UsageError if one makes no sense."""
    for flag in ("methods", "benchmarks", "seeds", "networks"):
        if getattr(command, flag) == ():
            raise UsageError(f"--{flag}: give at least one.")
    if command.study is not None and command.methods is not None:
        raise UsageError(f"--study {command.study} says itself which methods are run. Leave --methods out.")
    if command.study is not None and command.networks is not None:
        raise UsageError(
            f"--study {command.study} says itself which networks are compared. Put all of it on another one with "
            "--set network=NAME."
        )
    require_positive(command, "limit", "jobs", "debug_images", "devices", "accumulate")
    if command.workers is not None and command.workers < 0:
        raise UsageError(
            f"--workers {command.workers}: give 0, with which a training loads its data itself, or more."
        )
    if command.image_cache is not None:
        require_usable(command.image_cache.expanduser())
    benchmarks, plugin_files = _named(command.benchmarks or ())
    if command.weights is not None and command.start is None:
        raise UsageError(
            "--weights: these are of a network file, which --start names. Add it, or leave --weights out."
        )
    request = Request(
        methods=command.methods or Request.methods,
        benchmarks=benchmarks or (() if command.study else Request.benchmarks),
        seeds=command.seeds,
        networks=command.networks or (),
        profile=command.profile,
        data=command.data,
        data_root=command.data_root,
        data_paths=parse_paths(command.data_path),
        out=command.out.resolve(),
        settings=command.set,
        full=command.full,
        limit=command.limit,
        debug_images=command.debug_images,
        protocol=command.protocol,
        checkpoint=command.checkpoint,
        activation_checkpointing=command.activation_checkpointing,
        image_cache=None if command.image_cache is None else command.image_cache.expanduser(),
        keep_weights=command.keep_weights,
        devices=command.devices,
        elsewhere=command.launcher == "slurm",
        precision=command.precision,
        compiled=command.compile,
        accumulate=command.accumulate,
        device=command.device,
        plugins=(*command.plugins, *plugin_files),
        study=command.study,
    )
    return request if command.start is None else replace(request, given=_given(command, request))


def _given(command: Run, request: Request) -> Given:
    """The network that --start names."""
    if stand_ins.active():
        raise stand_ins.StandInError("torch itself is needed.")
    from adaptbench.execution.checkpoints.labelled import label_places
    from adaptbench.execution.given import start
    from adaptbench.execution.given.loaded_network import NetworkPlace

    text, chosen = str(command.start), profile(request.profile)
    if command.weights is None:
        if ":" in text:
            raise UsageError(
                f"--start {text}: a network file has its weights in a file. Give it with --weights."
            )
        return start.import_given(text, request.out, chosen, list(map(str, request.plugins)))
    place, registry = NetworkPlace.parse(text, command.weights, "--start"), plugins.discover(request.plugins)
    return start.file_given(place, chosen, label_places(registry, request), registry)


def _wanted(console: Console, command: Run, jobs: Sequence[Job], at_once: int) -> bool:
    """Whether all methods are to be trained; asks where the user named neither methods nor a study."""
    named = command.methods is not None or command.study is not None or command.only_failed
    if named or command.yes or not to_do(jobs):
        return True
    costs = expected_costs(jobs, command.out)
    summary = " ".join(dry_run.summary(jobs, costs, at_once, command.out))
    text = f"No methods are named, and all of them would be trained. {summary}"
    if not sys.stdin.isatty():
        raise UsageError(
            f"{text} Name some with --methods, show the plan with --dry-run, or say --yes to train them all."
        )
    say(console, text)
    try:
        return Confirm.ask("Train them all?", console=console, default=False)
    except EOFError:
        return False


def _none_failed(plan: Plan) -> str:
    states = Counter(str(job.state) for job in plan.jobs)
    found = formatting.enumeration(f"{count} {state}" for state, count in sorted(states.items()))
    return (
        f"--only-failed: no job of this plan failed, was interrupted or ran out of time ({found}). "
        "Leave it out to run what is planned."
    )


def concurrency_of(console: Console, command: Run, machine: Machine, jobs: int) -> int:
    """Jobs at once: as many as were asked for, with a warning if they are too many, else as many as fit."""
    machine.require_devices(command.devices)
    needs = profile(command.profile).threads, command.devices
    wanted = command.jobs or machine.room(*needs)
    if warning := machine.warning(min(wanted, jobs), *needs):
        say(console, warning, "yellow")
    return wanted


def _workers(command: Run, machine: Machine, at_once: int) -> int:
    """Data loading processes of each process that trains; a job has one for each of its devices."""
    chosen = profile(command.profile)
    fitting = machine.workers(chosen.workers, at_once * command.devices, chosen.threads)
    return fitting if command.workers is None else command.workers


def _with_workers(job: Job, workers: int) -> Job:
    return replace(job, spec=job.spec.model_copy(update={"workers": workers}))


def _named(benchmarks: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Names of benchmarks, and the YAML files among ``benchmarks``, which are plug-ins to be found."""
    from adaptbench.contracts import yaml_plugins

    names, found = [], []
    for text in benchmarks:
        if Path(text).suffix not in plugins.DESCRIPTIONS:
            names.append(text)
            continue
        path = Path(text).expanduser()
        kind, name, _ = yaml_plugins.facts(path)
        if kind != "benchmark":
            raise UsageError(f"--benchmarks {text}: this file describes a dataset. Name one of a benchmark.")
        names.append(name)
        found.append(path)
    return names, found


def generate_missing(console: Console, wanted: Sequence[tuple[str, DataSource]]) -> None:
    """Generates what the cache lacks of the sources of datasets, and shows how far it is."""
    with bars(console) as add:

        def announce(name: str, count: int) -> Callable[[int, int], None]:
            console.print(
                f"Generating {count} MiniCity images in the layout of {name} (generated data, not the real {name})."
            )
            if not console.is_terminal:
                return lambda done, total: None
            tell = add(f"MiniCity {name}", count)
            return lambda done, total: tell(done)

        sources.generate(wanted, announce)


def _sources(job: Job) -> list[tuple[str, DataSource]]:
    """Datasets of a job with their sources, those of splits that are scored beside included."""
    beside = ((split.partition("/")[0], source) for split, source in job.spec.also.items())
    return [*job.spec.data.items(), *beside]


def note_study(plan: Plan, command: Run) -> None:
    """Keeps which jobs are which variant, so that reports find them among all records."""
    if plan.study is None:
        return
    file = Path(inspect.getfile(plan.study))
    place = None if plugins.in_checkout(file) else file
    jobs = [(plan.variants[job.folder], job.spec) for job in plan.jobs]
    for series in series_of(plan.study.name, place, command.set, jobs):
        save_series(series, command.out)


def _show_images(console: Console, ended: Sequence[JobProgress]) -> None:
    """Says where debug images are, and for which finished jobs there are none."""
    for progress in ended:
        folder = progress.job.folder / "debug"
        text = f"debug images of {job_name(progress)}: "
        if any(folder.rglob("*.png")):
            text += str(folder)
        elif progress.status.state is State.DONE:
            text += "none, since its training was in the store already; --force trains it again."
        else:
            continue
        say(console, text)


def _summary(
    console: Console, ended: Sequence[JobProgress], out: Path, finished: FoundRecords, noted: Noted
) -> int:
    """Shows the leaderboards and everything that is not done, even if there is no room for the leaderboards."""
    boards = {progress.job.spec.board for progress in ended}
    try:
        show_boards(console, out, finished, boards, noted=noted)
    finally:
        unfinished = show_unfinished(console, ended)
    return EXIT_UNFINISHED if unfinished else 0


def show_unfinished(console: Console, ended: Sequence[JobProgress]) -> bool:
    """Says why jobs are neither done nor skipped; whether there are any."""
    unfinished = [p for p in ended if p.status.state not in (State.DONE, State.SKIPPED)]
    for progress in unfinished:
        reason = progress.status.reason or "not started"
        say(console, f"{job_name(progress)}: {progress.status.state}. {reason}", "red")
        trace = progress.job.folder / "traceback.txt"
        if trace.exists():
            say(console, f"  traceback: {trace}")
    return bool(unfinished)
