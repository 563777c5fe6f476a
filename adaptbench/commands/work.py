"""``work``: runs free jobs of an experiment beside other workers, until none is left."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from adaptbench.commands.output import say
from adaptbench.commands.run import concurrency_of, note_study, planned, run_jobs_of, show_unfinished
from adaptbench.errors import UsageError
from adaptbench.execution.launch.machine import machine_for
from adaptbench.execution.launch.preparing import LEFT_ALONE, not_finished, to_do
from adaptbench.execution.slurm.submission import submitted
from adaptbench.flags import EXIT_UNFINISHED, Work


def execute(command: Work) -> int:
    """Runs jobs while there are free ones; 0 also if some of them failed, so that who restarts workers can stop.

    Raises:
        UsageError: no experiment is named, or its file asks for all of it again.
    """
    if command.methods is None and command.study is None:
        raise UsageError(
            "work: name the experiment, by --plan FILE (run --write-config FILE makes one), --methods or --study."
        )
    if command.force:
        raise UsageError("force: every worker would run all jobs again. Use run, or take it out of the file.")
    console = Console()
    plan = planned(console, replace(command, launcher="local"))
    if command.submission is not None:
        plan = replace(plan, jobs=submitted(plan.jobs, command.submission, command.out.resolve()))
    jobs = [job for job in plan.jobs if job.state not in LEFT_ALONE]
    jobs = not_finished(plan.jobs) if command.only_failed else jobs
    machine = machine_for("cuda" if any(job.spec.device == "cuda" for job in jobs) else "cpu")
    concurrency = concurrency_of(console, command, machine, len(to_do(jobs)))
    note_study(plan, command)
    ended = run_jobs_of(command, console, jobs, concurrency, machine, stay=not command.leave)
    show_unfinished(console, ended)
    if alone := len(plan.jobs) - len(jobs):
        say(
            console,
            f"{alone} jobs left alone, which failed or ran out of time before: --only-failed takes them.",
        )
    say(console, f"No free job is left. adaptbench status --out {command.out} shows how all stand.")
    return EXIT_UNFINISHED if plan.broken else 0
