"""Runs jobs as processes on this machine: several at once, none taking another with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from adaptbench import signals
from adaptbench.contracts.plugins import ROOT
from adaptbench.errors import of_system
from adaptbench.execution.launch.endings import EXIT_INTERRUPTED, EXIT_WAITING
from adaptbench.execution.launch.endings import ending as process_ending
from adaptbench.execution.launch.machine import least_busy
from adaptbench.execution.launch.preparing import to_do, try_to_note
from adaptbench.execution.launch.queue import Queue
from adaptbench.execution.launch.time_limit import TimeLimit
from adaptbench.records.cancelled import REASON, is_cancelled
from adaptbench.records.jobspec import State, Status, read_status
from adaptbench.storage.claims import BEAT_SECONDS, Claim

if TYPE_CHECKING:
    from adaptbench.planning.plan import Job

_POLL_SECONDS = 0.25
#: Time a job has to save its state after it was asked to stop, before it is killed.
_GRACE_SECONDS = 60.0


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
        claim: ours, until the process takes it over.
        started: when. Units: seconds of the monotonic clock.
        ending: what its status is to say, as it alone was asked to stop; None = it was not.
        asked: when. Units: seconds of the monotonic clock.
    """

    job: Job
    process: subprocess.Popen[bytes]
    gpu: str | None
    claim: Claim
    started: float
    ending: Status | None = None
    asked: float = 0.0


def run_jobs(
    jobs: Sequence[Job],
    concurrency: int,
    view: View,
    gpus: Sequence[str] = (),
    limit: TimeLimit | None = None,
    *,
    stay: bool = True,
) -> list[Progress]:
    """Runs every job of a `prepared` plan that is not done or skipped; returns where all stand in the end.

    Other commands may run the same jobs: each is run by one of them, and those of a command that is gone by another.
    Jobs are spread over ``gpus``, each seeing its own alone; one that takes longer than ``limit`` is asked to save and
    stop. With ``stay`` it waits for the jobs of others, to take over from who stops; else it ends when none is free.

    Raises:
        Stopped: by Ctrl-C or SIGTERM, which ask running jobs to save and stop; a second one kills them.
    """
    floor = _Floor(jobs, concurrency, gpus, limit)
    asked: list[int] = []
    with signals.handled(asked.append):
        try:
            while floor.is_busy(stay) and not asked:
                floor.begin()
                floor.look_after()
                view.show(floor.progress())
                time.sleep(_POLL_SECONDS)
        finally:
            floor.stop(asked)
    final = floor.progress()
    view.show(final)
    if asked:
        done = sum(progress.status.state in (State.DONE, State.SKIPPED) for progress in final)
        raise signals.Stopped(
            asked[0], f"{done} of {len(jobs)} jobs are done; the same command goes on where they stopped."
        )
    return final


class _Floor:
    """The jobs of a command: those that run, those in the queue, and those that have ended."""

    def __init__(
        self, jobs: Sequence[Job], concurrency: int, gpus: Sequence[str], limit: TimeLimit | None
    ) -> None:
        self._jobs, self._concurrency, self._gpus, self._limit = jobs, concurrency, gpus, limit
        self._queue = Queue(to_do(jobs))
        self._running: dict[Path, _Running] = {}
        self._ended = {
            job.folder: Status(state=job.state, reason=job.reason) for job in jobs if _skipped(job)
        }
        self._beaten = time.monotonic()

    def is_busy(self, stay: bool) -> bool:
        """Whether there is something to do, or with ``stay`` there may be later."""
        return bool(self._running) or self._queue.is_open(stay)

    def begin(self) -> None:
        """Starts free jobs while there is room."""
        while len(self._running) < self._concurrency and (free := self._queue.begin()):
            job, claim = free
            gpu = least_busy(self._gpus, [run.gpu for run in self._running.values()], job.spec.devices)
            try:
                process = _start(job, gpu, claim.number)
            except OSError as error:
                claim.release()
                reason = f"It cannot be started: {of_system(error)}"
                try_to_note(job.folder, Status(state=State.FAILED, reason=reason))
                continue
            self._running[job.folder] = _Running(job, process, gpu, claim, time.monotonic())

    def look_after(self) -> None:
        """Stops jobs that are to end, and takes note of those that have."""
        if time.monotonic() - self._beaten > BEAT_SECONDS:
            self._beaten = time.monotonic()
            for run in self._running.values():
                run.claim.beat()
        for run in self._running.values():
            _stop_if_due(run, self._limit)
        self._reap()

    def stop(self, asked: list[int]) -> None:
        """Asks running jobs to save and end; kills them on a second request or when they take too long."""
        for run in self._running.values():
            _signal(run.process, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        while self._running and len(asked) < 2 and time.monotonic() < deadline:
            self._reap(asked=bool(asked))
            time.sleep(_POLL_SECONDS)
        for run in self._running.values():
            _signal(run.process, signal.SIGKILL)
            run.process.wait()
        self._reap(asked=bool(asked))

    def progress(self) -> list[Progress]:
        """Where all jobs stand, in the order of the plan."""
        return [Progress(job, self._status(job)) for job in self._jobs]

    def _status(self, job: Job) -> Status:
        if queued := self._queue.shown(job):
            return queued
        if job.folder not in self._running:
            if job.folder not in self._ended:
                self._ended[job.folder] = read_status(job.folder)
            return self._ended[job.folder]
        return read_status(job.folder)

    def _reap(self, asked: bool = False) -> None:
        for folder, run in list(self._running.items()):
            if run.process.poll() is None:
                continue
            del self._running[folder]
            _signal(run.process, signal.SIGKILL)  # what it left behind
            run.claim.release()
            _settle(folder, run.process, asked, run.ending)
            if not asked and (run.process.returncode == EXIT_WAITING or self._queue.held(folder)):
                self._queue.put_back(run.job)


def _skipped(job: Job) -> bool:
    return job.state is State.SKIPPED


def _start(job: Job, gpu: str | None, turn: int) -> subprocess.Popen[bytes]:
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
            [*python, "-m", "adaptbench.execution", *map(str, (job.folder, os.getpid(), turn))],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def _stop_if_due(run: _Running, limit: TimeLimit | None) -> None:
    """Asks a job that ran for longer than ``limit``, or is cancelled, to save and end; kills it if it does not."""
    now = time.monotonic()
    if run.ending is None:
        run.ending, run.asked = _ending(run, limit), now
        if run.ending is not None:
            _signal(run.process, signal.SIGTERM)
    elif now - run.asked > _GRACE_SECONDS:
        _signal(run.process, signal.SIGKILL)


def _ending(run: _Running, limit: TimeLimit | None) -> Status | None:
    """Why a job is to end now, as its status will say; None if it is not."""
    if limit is not None and time.monotonic() - run.started > limit.seconds:
        return Status(state=State.TIMEOUT, reason=limit.reason)
    return Status(state=State.INTERRUPTED, reason=REASON) if is_cancelled(run.job.folder) else None


def _settle(
    folder: Path, process: subprocess.Popen[bytes], asked: bool, ending: Status | None = None
) -> None:
    """Writes the status of a job whose process ended without doing so itself.

    ``ending`` is the status of one that alone was asked to stop; the job itself cannot tell why.
    """
    status, code = read_status(folder), process.returncode
    died = (
        status.state is State.RUNNING and status.pid == process.pid
    )  # though others of its group are not gone yet
    ended_itself = status.state not in (State.PLANNED, State.INTERRUPTED) and not died
    if ended_itself or status.pid not in (process.pid, os.getpid()):  # else another run works on the job
        return
    if ending is not None:
        try_to_note(folder, ending)
        return
    if code == EXIT_INTERRUPTED:
        return
    killed = f"killed by signal {-code}" if code < 0 else f"exit status {code}"
    if asked:
        ended = Status(state=State.INTERRUPTED, reason="Stopped; run again to go on.")
    elif status.state is State.PLANNED:
        ended = Status(state=State.FAILED, reason=f"The job did not start ({killed}); see log.txt.")
    else:
        ended = Status(state=State.FAILED, reason=process_ending("The job's process", code))
    try_to_note(folder, ended)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
