"""``run --launcher slurm``: submits workers for a plan, an array for each kind of resources, and ends."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from rich.console import Console

from adaptbench.commands import dry_run
from adaptbench.commands.output import say
from adaptbench.contracts import plugins
from adaptbench.contracts.resources import Resources
from adaptbench.errors import UsageError
from adaptbench.execution.launch.preparing import LEFT_ALONE, to_do
from adaptbench.execution.slurm import scheduler
from adaptbench.execution.slurm.cluster import Cluster, load
from adaptbench.execution.slurm.kinds import kinds_of
from adaptbench.execution.slurm.script import Array
from adaptbench.execution.slurm.submission import Submission, plugin_paths, submission_of
from adaptbench.flags import Run, experiment
from adaptbench.planning.estimates import expected_costs
from adaptbench.planning.plan import Job, Plan, method_class
from adaptbench.records import documents
from adaptbench.records.jobspec import content_hash
from adaptbench.storage.atomic import write_text


def execute(console: Console, command: Run, plan: Plan) -> None:
    """Submits workers for the jobs of a plan, or shows their scripts (--dry-run).

    Raises:
        UsageError: a flag makes no sense here, the file of the cluster is wrong, or Slurm's commands are not there.
        RunStateError: the scheduler refuses, or the results folder cannot be written.
    """
    _require_sense(command)
    cluster, left = load(command.cluster), to_do(plan.jobs)
    jobs = left if command.only_failed else [job for job in left if job.state not in LEFT_ALONE]
    submission = submission_of(jobs, command.out.resolve())
    arrays = _arrays(command, cluster, jobs, submission) if jobs else []
    if command.dry_run:
        dry_run.show(console, plan, command.out, max(1, sum(array.tasks for array in arrays)))
        _show(console, arrays)
        return
    for array in arrays:
        _write(array, command, submission)
        say(
            console,
            f"submitted {_counted(array)}, {array.script}: scancel {' '.join(_submitted(array))} ends them.",
        )
    if alone := len(left) - len(jobs):
        say(
            console,
            f"{alone} jobs left alone, which failed or ran out of time before: --only-failed takes them.",
        )
    if not arrays:
        say(console, "Nothing to submit.")
    say(console, f"adaptbench status --out {command.out} --watch shows how all stand.")


def _require_sense(command: Run) -> None:
    if command.force:
        raise UsageError(
            "--force: every worker would run all jobs again. Leave it out, or choose another --out."
        )
    if command.jobs not in (None, 1):
        raise UsageError(
            f"--jobs {command.jobs}: a worker on Slurm runs one job at a time. How many workers there are, "
            "max_parallel of the --cluster file says."
        )
    if command.requeue < 0:
        raise UsageError(f"--requeue {command.requeue}: give 0 or more.")


def _arrays(command: Run, cluster: Cluster, jobs: Sequence[Job], submission: Submission) -> list[Array]:
    """An array for each kind of jobs."""
    registry = plugins.discover(plugin_paths(jobs))

    @cache
    def resources(method: str) -> Resources:
        return method_class(registry, method).resources

    limits = [cluster.max_parallel or len(jobs)]
    if not command.dry_run or shutil.which("scontrol"):
        limits.append(scheduler.largest_array())
    name = content_hash(submission.model_dump())[:8]
    kinds = kinds_of(jobs, cluster.by_memory, expected_costs(jobs, command.out), resources)
    return [
        Array(kind, cluster, command.out.resolve(), name, min(len(kind.jobs), *limits), command.requeue)
        for kind in kinds
    ]


def _write(array: Array, command: Run, submission: Submission) -> None:
    """The files of an array: which jobs of which code, the experiment, and the script."""
    methods = command.methods or (None if command.study else ("all",))
    theirs = replace(command, methods=methods, devices=array.kind.devices, jobs=None)
    documents.write(submission.only(array.kind.jobs, array.out), array.submission)
    experiment.save(theirs, array.experiment)
    write_text(array.script, array.text())


def _submitted(array: Array) -> list[str]:
    """Numbers of the array and of those that follow it."""
    numbers = [scheduler.submit(array.script)]
    for _ in range(array.links):
        numbers.append(scheduler.submit(array.script, after=numbers[-1]))
    return numbers


def _show(console: Console, arrays: Sequence[Array]) -> None:
    for array in arrays:
        say(console, "")
        say(console, f"{array.script}, for {_counted(array)}:")
        console.print(array.text(), soft_wrap=True, highlight=False, markup=False)


def _counted(array: Array) -> str:
    follow = f" and {array.links} arrays that follow it" if array.links else ""
    return f"{array.tasks} workers for {len(array.kind.jobs)} jobs{follow}"
