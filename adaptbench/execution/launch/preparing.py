"""The folders of jobs before and after they are run by processes."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from adaptbench.errors import RunStateError
from adaptbench.records.jobspec import (
    JobSpec,
    State,
    Status,
    load_job,
    read_status,
    save_job,
    write_status,
)
from adaptbench.storage import claims
from adaptbench.storage.atomic import cannot_write

if TYPE_CHECKING:
    from adaptbench.planning.plan import Job

#: For the processes of a job that was killed to end. Units: seconds.
_PATIENCE_SECONDS = claims.DYING_SECONDS + 1
#: How jobs end that are neither done nor skipped.
_NOT_FINISHED = (State.FAILED, State.INTERRUPTED, State.TIMEOUT)

#: How jobs ended that workers leave alone, but with --only-failed.
LEFT_ALONE = (State.FAILED, State.TIMEOUT)


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


def try_to_note(folder: Path, status: Status) -> None:
    """Writes the status of a job unless another run works on it, or there is no room: the other jobs still go on."""
    with contextlib.suppress(RunStateError):
        _note(folder, status, patience=_PATIENCE_SECONDS)


def _delete(folder: Path) -> None:
    """Deletes all in a folder but its claim, so that who looked before sees that somebody had it since."""
    with claims.briefly(folder) as held:
        if not held:
            raise RunStateError(
                f"--force: another run is working on {folder}. Stop that run first, or wait for it."
            )
        for path in folder.iterdir():
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
            elif path.name != claims.FOLDER:
                shutil.rmtree(path, ignore_errors=True)


def _prepare(job: Job) -> None:
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(job.folder, error) from error
    if job.state is not State.RUNNING and not _as_planned(job):
        _note(job.folder, Status(state=State.PLANNED), job.spec)


def _as_planned(job: Job) -> bool:
    """Whether another run has planned the same job."""
    planned = job.state in (State.PLANNED, State.WAITING) and (job.folder / "job.json").exists()
    return planned and load_job(job.folder) == job.spec


def _put_back(job: Job) -> None:
    status = read_status(job.folder)
    if status.state is State.PLANNED and status.pid == os.getpid():
        try_to_note(job.folder, Status(state=job.state, reason=job.reason))


def _note(folder: Path, status: Status, spec: JobSpec | None = None, patience: float = 0.0) -> None:
    """Writes the status of a job, and what it is, unless another run works on it, which sweeps the folder."""
    with claims.briefly(folder, patience) as held:
        if held and spec is not None:
            save_job(spec, folder)
        if held:
            write_status(folder, status)
