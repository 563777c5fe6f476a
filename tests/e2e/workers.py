"""A campaign against workers: each on a machine of its own, as far as they can tell, they share a folder of short jobs,
while they are killed, stopped and suspended. What is killed or stopped is started again.

Jobs are stand-ins that take claims, wait and write a record, as trainings would; some share a stage.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from forks import Fork

from adaptbench import signals
from adaptbench.execution.launch import local, queue
from adaptbench.execution.launch.endings import EXIT_INTERRUPTED, EXIT_WAITING
from adaptbench.execution.launch.preparing import to_do
from adaptbench.planning.plan import Job
from adaptbench.records.jobspec import JobSpec, State, Status, read_status, write_status
from adaptbench.signals import end_with_parent
from adaptbench.storage import claims
from adaptbench.storage.claims import Turn, Watch

BEAT_SECONDS, LEASE_SECONDS = 0.2, 1.5
#: Of a job or a stage. One that goes on leaves out those that are done.
PARTS = 10
PATIENCE_SECONDS = 300.0


class Way(NamedTuple):
    """What is done to a worker."""

    name: str
    act: Callable[[Machine], None]


@dataclass
class Machine:
    """A worker in a container that is restarted when it ends without having finished.

    Attributes:
        seconds: that a part of a job takes.
        ended: exit statuses so far; below zero of signals.
    """

    name: str
    jobs: Sequence[Job]
    seconds: float
    said: Path
    process: Fork | None = None
    ended: list[int] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether no job was left for it."""
        return self.ended[-1:] == [0]

    def tend(self) -> None:
        """Starts the worker where it does not run, and is not finished."""
        if self.process is not None and self.process.poll() is not None:
            self.ended.append(self.process.wait())
            self.process = None
        if self.process is None and not self.finished:
            self.process = Fork(self._work, self.said)

    def send(self, number: signal.Signals, to_jobs: bool = False) -> None:
        """Signals the worker, and its jobs as the end of a machine does."""
        if self.process is None:
            return
        jobs = _children(self.process.pid) if to_jobs else []
        for pid in (self.process.pid, *jobs):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _work(self) -> int:
        claims.BEAT_SECONDS, claims.LEASE_SECONDS = BEAT_SECONDS, LEASE_SECONDS
        local._POLL_SECONDS, queue._LOOK_SECONDS = 0.02, 0.1  # type: ignore[misc]
        local.BEAT_SECONDS = BEAT_SECONDS
        claims.machine = cast("Any", lambda: self.name)
        local._start = partial(_started, self.seconds)
        queue.is_done = lambda job: (job.folder / "record.json").exists()
        try:
            with signals.handled(signals.stop):
                local.run_jobs(_as_planned(self.jobs), 1, cast("Any", SimpleNamespace(show=lambda _: None)))
        except signals.Stopped as stopped:
            return signals.exit_status(stopped)
        return 0


def _suspend(machine: Machine) -> None:
    machine.send(signal.SIGSTOP, to_jobs=True)
    time.sleep(1.5 * LEASE_SECONDS)
    machine.send(signal.SIGCONT, to_jobs=True)


WAYS = (
    Way("SIGKILL of the worker", lambda machine: machine.send(signal.SIGKILL)),
    Way("SIGTERM", lambda machine: machine.send(signal.SIGTERM)),
    Way("SIGKILL of worker and job", lambda machine: machine.send(signal.SIGKILL, to_jobs=True)),
    Way("suspended past its lease", _suspend),
)


@dataclass
class Campaign:
    """Workers and jobs in a folder; every fifth job shares its stage with the next one.

    Attributes:
        part_seconds: that a part of a job takes.
        hits: how often each way was taken.
        seconds: until all was done.
    """

    root: Path
    workers: int
    jobs: int
    part_seconds: float
    seed: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def run(self, kills: int) -> None:
        """Lets workers run all jobs, while one of them is hit so many times."""
        drawn, began = random.Random(self.seed), time.monotonic()
        self._jobs = [self._job(number) for number in range(self.jobs)]
        machines = [
            Machine(f"machine {n}", self._jobs, self.part_seconds, self.root / f"{n}.txt")
            for n in range(self.workers)
        ]
        pause = self.jobs * PARTS * self.part_seconds / self.workers / max(kills, 1) / 2
        while not all(machine.finished for machine in machines):
            assert time.monotonic() - began < PATIENCE_SECONDS, "workers do not end"
            for machine in machines:
                machine.tend()
            time.sleep(drawn.uniform(0, 2 * pause) if self.hits.total() < kills else 0.05)
            busy = [machine for machine in machines if machine.process]
            if busy and self.hits.total() < kills:
                way = WAYS[self.hits.total() % len(WAYS)]
                way.act(drawn.choice(busy))
                self.hits[way.name] += 1
        self.seconds = time.monotonic() - began

    def wrong(self) -> list[str]:
        """Jobs and stages that were lost, failed, or done twice, and what is left behind."""
        found = [f"{job.folder.name}: {read_status(job.folder)}" for job in to_do(_as_planned(self._jobs))]
        for folder in (*self._done("runs/*/*/*"), *self._done("stages/*")):
            if times := len(_lines(folder / "done")) - 1:
                found.append(f"{folder.name} was done {times + 1} times")
            if Watch().held(folder):
                found.append(f"{folder.name} is still claimed")
        return found

    def table(self) -> str:
        """What was done, and what came of it, as a line of Markdown for each way and one for all."""
        begun = sum(len(_lines(job.folder / "begun")) for job in self._jobs)
        again = begun - len(self._jobs)
        lines = ["| what was done to a worker | times |", "|---|---|"]
        lines += [f"| {name} | {times} |" for name, times in self.hits.items()]
        over = f"{self.workers} workers, {self.jobs} jobs, {self.seconds:.0f} s: begun again {again} times"
        return "\n".join([*lines, "", f"{over}, wrong: {self.wrong() or 'nothing'}"])

    def _done(self, places: str) -> list[Path]:
        return sorted(self.root.glob(places))

    def _job(self, number: int) -> Job:
        folder = self.root / "runs" / "board" / "method" / f"{number}-{number:08x}"
        folder.mkdir(parents=True)
        if number % 5 < 2:
            (folder / "needs").write_text(f"stage-{number // 5}")
        return Job(cast("JobSpec", SimpleNamespace(threads=1, devices=1)), folder, State.PLANNED)


def _as_planned(jobs: Sequence[Job]) -> list[Job]:
    """Jobs as a worker that starts now finds them."""
    return [Job(job.spec, job.folder, read_status(job.folder).state) for job in jobs]


def _started(seconds: float, job: Job, gpu: str | None, turn: int) -> Fork:
    parent = os.getpid()

    def work() -> int:
        os.setsid()
        end_with_parent(parent)
        return _stand_in(job.folder, turn, seconds)

    return Fork(work, job.folder / "log.txt")


def _stand_in(folder: Path, turn: int, seconds: float) -> int:
    """What a job does, but for its training."""
    stop = signals.stop_flag()
    claim = claims.take(folder, Turn(turn), "")
    if claim is None:
        return EXIT_INTERRUPTED
    with claims.kept(claim, _die):
        _add(folder / "begun")
        write_status(folder, Status(state=State.RUNNING))
        if (folder / "needs").exists():
            stage = folder.parents[3] / "stages" / (folder / "needs").read_text()
            stage.mkdir(parents=True, exist_ok=True)
            if not (stage / "done").exists():
                ours = claims.take_free(stage, Watch(), "")
                if ours is None:
                    write_status(folder, Status(state=State.WAITING, waits_for=stage.name))
                    return EXIT_WAITING
                with claims.kept(ours, _die):
                    if not (stage / "done").exists() and not _worked(stage, seconds, stop, ours):
                        write_status(folder, Status(state=State.INTERRUPTED))
                        return EXIT_INTERRUPTED
        if not (folder / "done").exists() and not _worked(folder, seconds, stop, claim):
            write_status(folder, Status(state=State.INTERRUPTED))
            return EXIT_INTERRUPTED
        _note_done(folder)
        write_status(folder, Status(state=State.DONE))
    return 0


def _worked(folder: Path, seconds: float, stop: Callable[[], bool], claim: claims.Claim) -> bool:
    """Goes on where it was stopped; whether it came to the end."""
    while len(_lines(folder / "parts")) < PARTS:
        if stop():
            return False
        time.sleep(seconds)
        _add(folder / "parts")
    if not claim.ours:
        _die()
    _add(folder / "done")
    return True


def _note_done(folder: Path) -> None:
    (folder / "record.json").write_text(json.dumps({}))


def _die() -> None:
    os.killpg(0, signal.SIGKILL)


def _add(path: Path) -> None:
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]
