"""How the jobs of a results folder stand and who works on them, from files alone. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby, islice
from pathlib import Path

from adaptbench.errors import RunStateError
from adaptbench.planning.estimates import Costs, Estimate, Estimates, Total, total
from adaptbench.records import documents
from adaptbench.records.cancelled import is_marked
from adaptbench.records.jobspec import State, Status, load_job, read_status
from adaptbench.records.kept import load_kept
from adaptbench.records.record import Record
from adaptbench.storage import claims
from adaptbench.storage.claims import Watch

#: In the results folder, where every command that runs jobs has a claim.
WORKERS = "workers"
#: Finished jobs of a method on a benchmark that estimates rest on: reading all of them takes long.
_SAMPLE = 3


class Standing(StrEnum):
    """How a job stands for who might run it."""

    DONE = "done"
    RUNNING = "running"
    FREE = "free"
    WAITING = "waiting"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    FAILED = "failed"


@dataclass(frozen=True)
class JobStanding:
    """A job.

    Attributes:
        worker: who runs it; empty where nobody does.
        silence: since its last heartbeat; None where nobody runs it. Units: seconds.
    """

    folder: Path
    board: str
    method: str
    standing: Standing
    status: Status
    worker: str = ""
    silence: float | None = None


@dataclass(frozen=True)
class Worker:
    """A command that runs jobs.

    Attributes:
        silence: since its last heartbeat. Units: seconds.
        gone: whether it has ended without saying so, or counts as if.
        jobs: that it runs.
    """

    name: str
    silence: float
    gone: bool
    jobs: list[JobStanding]


@dataclass(frozen=True)
class Overview:
    """All jobs of a results folder, in the order of their folders.

    Attributes:
        left: what is left to do will probably take, with as many jobs at once as run now.
    """

    jobs: list[JobStanding]
    workers: list[Worker]
    left: Total

    @property
    def counts(self) -> dict[Standing, int]:
        """How many jobs stand how."""
        counted = Counter(job.standing for job in self.jobs)
        return {standing: counted[standing] for standing in Standing}

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left that anybody runs or may begin."""
        return not any(self.counts[one] for one in (Standing.RUNNING, Standing.FREE, Standing.WAITING))


def overview(out: Path, watch: Watch | None = None) -> Overview:
    """Looks at the files of a results folder; ``watch`` remembers heartbeats from one call to the next."""
    watch = watch or Watch()
    files, _ = documents.find(out, "runs", "job.json")
    all_cancelled = is_marked(out)
    jobs = [_standing(file.parent, out, watch, all_cancelled) for file in files]
    running = [job for job in jobs if job.standing is Standing.RUNNING]
    left = total(_costs(jobs, out), max(1, len(running)))
    return Overview(jobs, _workers(out, running, watch), left)


def _standing(folder: Path, out: Path, watch: Watch, all_cancelled: bool) -> JobStanding:
    status, turn = read_status(folder, watch), claims.last_turn(folder)
    board = folder.parent.parent.relative_to(out / "runs").as_posix()
    job = JobStanding(folder, board, folder.parent.name, Standing.FREE, status)
    if turn.held and not watch.gone(folder, turn):
        worker = "" if turn.holder is None else turn.holder.worker
        silence = watch.silence(folder, turn)
        return replace(job, standing=Standing.RUNNING, worker=worker, silence=silence)
    if status.state in (State.DONE, State.FAILED, State.TIMEOUT):
        return replace(job, standing=Standing(status.state))
    if all_cancelled or is_marked(folder):
        return replace(job, standing=Standing.CANCELLED)
    waits = status.state is State.WAITING and watch.held(out / "stages" / status.waits_for)
    return replace(job, standing=Standing.WAITING) if waits else job


def _workers(out: Path, running: Iterable[JobStanding], watch: Watch) -> list[Worker]:
    """Those that have said that they are there, and those that are known from their jobs alone."""
    found: dict[str, Worker] = {}
    for place in sorted((out / WORKERS).glob("*")):
        turn = claims.last_turn(place)
        if turn.held:
            silence, gone = watch.silence(place, turn), watch.gone(place, turn)
            found[place.name] = Worker(place.name, silence, gone, [])
    for job in running:
        unknown = Worker(job.worker or "?", job.silence or 0.0, gone=False, jobs=[])
        found.setdefault(unknown.name, unknown).jobs.append(job)
    return list(found.values())


def _costs(jobs: Iterable[JobStanding], out: Path) -> Costs:
    """What is left of each job that is to be done or runs, as finished ones of this folder tell."""
    known = Estimates(_sample(jobs, out))
    to_do = (Standing.RUNNING, Standing.FREE, Standing.WAITING)
    return {job.folder: _left(job, known) for job in jobs if job.standing in to_do}


def _sample(jobs: Iterable[JobStanding], out: Path) -> Iterable[Record]:
    """Records of a few finished jobs of each method on each benchmark that has jobs to do."""
    for _, alike in groupby(jobs, lambda job: (job.board, job.method)):
        done = (job.folder / "record.json" for job in alike if job.standing is Standing.DONE)
        yield from documents.read_all(islice(done, _SAMPLE), out, load_kept)[0]


def _left(job: JobStanding, known: Estimates) -> Estimate | None:
    try:
        cost = known.of(load_job(job.folder))
    except RunStateError:
        return None
    share = job.status.iteration / job.status.total if job.status.total else 0.0
    running = job.standing is Standing.RUNNING
    return replace(cost, seconds=cost.seconds * (1 - share)) if cost and running else cost
