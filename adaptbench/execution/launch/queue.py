"""The jobs that a command has still to run, beside other commands on any machine that work on the same ones."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from adaptbench.errors import RunStateError
from adaptbench.records.cancelled import REASON, is_cancelled
from adaptbench.records.jobspec import State, Status, read_status, results_of, write_status
from adaptbench.records.record import load_record
from adaptbench.storage import claims
from adaptbench.storage.claims import Claim, Watch

if TYPE_CHECKING:
    from adaptbench.planning.plan import Job

#: Between two looks at jobs of which none was free. Units: seconds.
_LOOK_SECONDS = 2.0
#: How a job ended that is not run again by those who wanted to run it at that time.
_ENDED = (State.DONE, State.FAILED, State.TIMEOUT)
_FREE = Status(state=State.PLANNED)
_CANCELLED = Status(state=State.PLANNED, reason=REASON)


class Queue:
    """Jobs in the order in which they are tried.

    A job leaves it when it is begun here, or when somebody else has ended it since the queue was made.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._watch, self._worker = Watch(), claims.worker_name()
        self._jobs = {job.folder: job for job in jobs}
        self._first = {folder: claims.last_turn(folder).number for folder in self._jobs}
        self._shown: dict[Path, Status] = {}
        self._looked: float | None = None  # in vain, since the last job was begun or came back
        self._refreshed = time.monotonic()

    def begin(self) -> tuple[Job, Claim] | None:
        """The first job that is free, which is ours from now on; None if there is none at present."""
        if self._looked is not None and time.monotonic() - self._looked < _LOOK_SECONDS:
            return None
        self._looked = None
        for job in list(self._jobs.values()):
            shown = self._shown[job.folder] = self._look(job)
            if shown is _FREE and (claim := self._take(job)):
                return job, claim
        self._looked = time.monotonic()
        return None

    def put_back(self, job: Job) -> None:
        """Another time: it waits for a stage that somebody else trains, or somebody else has it."""
        self._jobs[job.folder] = job
        self._shown.pop(job.folder, None)

    def shown(self, job: Job) -> Status | None:
        """How a job stands that was not begun here, as far as it was looked at; None for others."""
        self._refresh()
        if job.folder in self._jobs:
            return self._shown.get(job.folder, _FREE)
        return self._shown.get(job.folder)

    def is_open(self, stay: bool) -> bool:
        """Whether a job may be begun here; with ``stay`` one that somebody else has counts. Cancelled ones do not."""
        if not stay:
            return self._looked is None and bool(self._jobs)
        return any(self._shown.get(folder) is not _CANCELLED for folder in self._jobs)

    def held(self, folder: Path) -> bool:
        """Whether somebody works on a job, or trains a stage."""
        return self._watch.held(folder)

    def _refresh(self) -> None:
        """Looks again at jobs that others run, which get on while nothing is begun here."""
        if time.monotonic() - self._refreshed < _LOOK_SECONDS:
            return
        for folder, status in self._shown.items():
            if status.state is State.RUNNING:
                self._shown[folder] = read_status(folder, self._watch)
        self._refreshed = time.monotonic()

    def _look(self, job: Job) -> Status:
        status = read_status(job.folder, self._watch)
        turn = claims.last_turn(job.folder)
        if turn.held and not self._watch.gone(job.folder, turn):
            return status
        ended_since = turn.number != self._first[job.folder] and status.state in _ENDED
        if ended_since or (status.state is State.DONE and is_done(job)):
            del self._jobs[job.folder]
            return status
        if is_cancelled(job.folder):
            return _CANCELLED
        waits = status.state is State.WAITING
        return status if waits and self.held(stage_folder(job.folder, status)) else _FREE

    def _take(self, job: Job) -> Claim | None:
        """A claim to a free job, unless somebody was faster, or the folder cannot be written."""
        claim = None
        try:
            claim = claims.take_free(job.folder, self._watch, self._worker)
            if claim is not None:
                write_status(job.folder, _FREE)
        except RunStateError as error:
            del self._jobs[job.folder]
            self._shown[job.folder] = Status(state=State.FAILED, reason=str(error))
            if claim is not None:
                claim.release()
            return None
        if claim is not None:
            del self._jobs[job.folder], self._shown[job.folder]
        return claim


def is_done(job: Job) -> bool:
    """Whether a job has a record, of all splits that it is to be scored on: another may have written it just now."""
    path = job.folder / "record.json"
    return path.exists() and load_record(path).covers(job.spec.also)


def stage_folder(job: Path, status: Status) -> Path:
    """The folder of the stage that a job waits for."""
    return results_of(job) / "stages" / status.waits_for
