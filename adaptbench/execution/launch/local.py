"""Runs jobs as processes on this machine: several at once, none taking another with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from filelock import FileLock, Timeout

from adaptbench import signals
from adaptbench.contracts.plugins import ROOT
from adaptbench.errors import RunStateError, of_system
from adaptbench.execution.launch.endings import ending
from adaptbench.execution.launch.machine import least_busy
from adaptbench.execution.launch.time_limit import TimeLimit
from adaptbench.records.jobspec import JobSpec, State, Status, read_status, save_job, write_status
from adaptbench.storage.atomic import cannot_write

if TYPE_CHECKING:
    from adaptbench.planning.plan import Job

_POLL_SECONDS = 0.25
#: Time a job has to save its state after it was asked to stop, before it is killed.
_GRACE_SECONDS = 60.0
#: How long the processes of a job that was killed may take to end.
_MOMENT_SECONDS = 1.0
#: Exit status of a job that saved its state because it was asked to stop, see `adaptbench.execution.job`.
_EXIT_INTERRUPTED = 130
#: How jobs end that are neither done nor skipped.
_NOT_FINISHED = (State.FAILED, State.INTERRUPTED, State.TIMEOUT)


@dataclass(frozen=True)
class Progress:
    """A job and where it stands."""

    job: Job
    status: Status


class View(Protocol):
    """Something that shows progress."""

    def show(self, jobs: Sequence[Progress]) -> None:
        """Called several times a second with all jobs, in the order of the plan."""


@dataclass
class _Running:
    """A job's process.

    Attributes:
        process: leader of a session of its own.
        gpu: the ones that it sees, with commas between them; None = whatever there is.
        started: when. Units: seconds of the monotonic clock.
        limit: why it was asked to stop; None = it was not, or for another reason.
    """

    process: subprocess.Popen[bytes]
    gpu: str | None
    started: float
    limit: TimeLimit | None = None


def run_jobs(
    jobs: Sequence[Job],
    concurrency: int,
    view: View,
    gpus: Sequence[str] = (),
    limit: TimeLimit | None = None,
) -> list[Progress]:
    """Runs every job of a `prepared` plan that is not done or skipped; returns where all stand in the end.

    Jobs are spread over ``gpus``, each seeing its own alone; one that takes longer than ``limit`` is asked to save and
    stop.

    Raises:
        Stopped: by Ctrl-C or SIGTERM, which ask running jobs to save and stop; a second one kills them.
    """
    pending = to_do(jobs)
    running: dict[Path, _Running] = {}
    asked: list[int] = []
    with signals.handled(asked.append):
        try:
            while (pending or running) and not asked:
                while pending and len(running) < concurrency:
                    job = pending.pop(0)
                    gpu = least_busy(gpus, [run.gpu for run in running.values()], job.spec.devices)
                    try:
                        running[job.folder] = _Running(_start(job, gpu), gpu, time.monotonic())
                    except OSError as error:
                        reason = f"It cannot be started: {of_system(error)}"
                        _try_to_note(job.folder, Status(state=State.FAILED, reason=reason))
                if limit is not None:
                    _stop_overdue(running, limit)
                _reap(running, bool(asked))
                view.show([_progress(job) for job in jobs])
                time.sleep(_POLL_SECONDS)
        finally:
            _stop(running, asked)
    final = [_progress(job) for job in jobs]
    view.show(final)
    if asked:
        done = sum(progress.status.state in (State.DONE, State.SKIPPED) for progress in final)
        raise signals.Stopped(
            asked[0], f"{done} of {len(jobs)} jobs are done; the same command goes on where they stopped."
        )
    return final


def to_do(jobs: Sequence[Job]) -> list[Job]:
    """The jobs that are neither done nor skipped."""
    return [job for job in jobs if job.state not in (State.DONE, State.SKIPPED)]


def not_finished(jobs: Sequence[Job]) -> list[Job]:
    """The jobs that were begun before and failed, were interrupted or ran out of time (--only-failed)."""
    return [job for job in jobs if job.state in _NOT_FINISHED]


@contextlib.contextmanager
def prepared(jobs: Sequence[Job]) -> Iterator[None]:
    """Makes the folders of all jobs that are to do, for the block that runs them.

    Jobs whose turn never came get the state back that they had, so that --only-failed finds them again.
    """
    try:
        for job in to_do(jobs):
            _prepare(job)
        yield
    finally:
        for job in not_finished(jobs):
            _put_back(job)


def anew(job: Job) -> Job:
    """A job as if it had never been run (--force)."""
    return job if job.state is State.SKIPPED else replace(job, state=State.PLANNED, reason="")


def discard(jobs: Iterable[Job], out: Path) -> None:
    """Deletes what jobs and their stages left (--force), unless another run is working on them."""
    for job in jobs:
        stages = job.folder / "stages"
        links = list(stages.iterdir()) if stages.is_dir() else []
        for folder in (*(out / "stages" / link.resolve().name for link in links), job.folder):
            if folder.is_dir():
                _delete(folder)


def _delete(folder: Path) -> None:
    try:
        with FileLock(folder / ".lock", timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
    except Timeout as error:
        raise RunStateError(
            f"--force: another run is working on {folder}. Stop that run first, or wait for it."
        ) from error


def _prepare(job: Job) -> None:
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(job.folder, error) from error
    if job.state is not State.RUNNING:  # in another run
        _note(job.folder, Status(state=State.PLANNED), job.spec)


def _put_back(job: Job) -> None:
    status = read_status(job.folder)
    if status.state is State.PLANNED and status.pid == os.getpid():
        _try_to_note(job.folder, Status(state=job.state, reason=job.reason))


def _note(folder: Path, status: Status, spec: JobSpec | None = None) -> None:
    """Writes the status of a job, and what it is, unless another run works on it, which sweeps the folder."""
    try:
        with FileLock(folder / ".lock", timeout=_MOMENT_SECONDS):
            if spec is not None:
                save_job(spec, folder)
            write_status(folder, status)
    except Timeout:
        return
    except OSError as error:
        raise cannot_write(folder, error) from error


def _try_to_note(folder: Path, status: Status) -> None:
    """Does so; if that cannot be done, the other jobs still go on."""
    with contextlib.suppress(RunStateError):
        _note(folder, status)


def _start(job: Job, gpu: str | None) -> subprocess.Popen[bytes]:
    """The job's process, in a session of its own so that Ctrl-C reaches it through us alone."""
    threads = str(job.spec.threads)
    path = os.pathsep.join(part for part in (os.environ.get("PYTHONPATH"), str(ROOT)) if part)
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "PYTHONPATH": path}
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    # -P: a folder called methods/ where the command is run must not hide ours
    python = [sys.executable, "-P", "-W", "ignore"]
    with (job.folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [*python, "-m", "adaptbench.execution.job", str(job.folder), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def _stop_overdue(running: Mapping[Path, _Running], limit: TimeLimit) -> None:
    """Asks jobs that ran for longer than ``limit`` to save and end; kills those that take too long over it."""
    for run in running.values():
        over = time.monotonic() - run.started - limit.seconds
        if over > 0 and run.limit is None:
            run.limit = limit
            _signal(run.process, signal.SIGTERM)
        elif over > _GRACE_SECONDS:
            _signal(run.process, signal.SIGKILL)


def _reap(running: dict[Path, _Running], asked: bool) -> None:
    for folder, run in list(running.items()):
        if run.process.poll() is not None:
            del running[folder]
            _settle(folder, run.process, asked, run.limit)


def _settle(
    folder: Path, process: subprocess.Popen[bytes], asked: bool, limit: TimeLimit | None = None
) -> None:
    """Writes the status of a job whose process ended without doing so itself.

    ``limit`` is why this one was asked to stop, if it ran for too long; the job itself cannot tell.
    """
    status, code = read_status(folder), process.returncode
    ended_itself = status.state not in (State.PLANNED, State.INTERRUPTED)
    if ended_itself or status.pid not in (process.pid, os.getpid()):  # else another run works on the job
        return
    if limit is not None:
        _try_to_note(folder, Status(state=State.TIMEOUT, reason=limit.reason))
        return
    if code == _EXIT_INTERRUPTED:
        return
    killed = f"killed by signal {-code}" if code < 0 else f"exit status {code}"
    if asked:
        ended = Status(state=State.INTERRUPTED, reason="Stopped; run again to go on.")
    elif status.state is State.PLANNED:
        ended = Status(state=State.FAILED, reason=f"The job did not start ({killed}); see log.txt.")
    else:
        ended = Status(state=State.FAILED, reason=ending("The job's process", code))
    _try_to_note(folder, ended)


def _stop(running: dict[Path, _Running], asked: list[int]) -> None:
    """Asks running jobs to save and end; kills them on a second request or when they take too long."""
    for run in running.values():
        _signal(run.process, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    while running and len(asked) < 2 and time.monotonic() < deadline:
        _reap(running, bool(asked))
        time.sleep(_POLL_SECONDS)
    for run in running.values():
        _signal(run.process, signal.SIGKILL)
        run.process.wait()
    _reap(running, bool(asked))


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _progress(job: Job) -> Progress:
    if job.state is State.SKIPPED:
        return Progress(job, Status(state=State.SKIPPED, reason=job.reason))
    return Progress(job, read_status(job.folder))
