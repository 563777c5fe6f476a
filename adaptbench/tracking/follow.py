"""Follows jobs while they run: ``python -m adaptbench.tracking.follow``, a process beside them.

It reads what jobs write anyway, so that no tracker can slow down, change or end a training. The first line of its
standard input says what to do, as JSON; the end of the input means that no job runs any more. What the user should know
is written to standard output, one line each.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from adaptbench.errors import RunStateError
from adaptbench.flags import Tracking
from adaptbench.records import curves
from adaptbench.records.found import find_records
from adaptbench.records.jobspec import State, load_job, read_status
from adaptbench.records.kept import load_kept
from adaptbench.reporting.board import boards
from adaptbench.tracking.backends import trackers
from adaptbench.tracking.content import Finished, Identity, Run
from adaptbench.tracking.failures import Guarded

POLL_SECONDS = 2.0
_NICENESS = 10


class FollowedJob:
    """A job in one tracker."""

    def __init__(self, folder: Path, tracker: Guarded) -> None:
        self.folder, self.tracker = folder, tracker
        self.closed = False
        self._run: Run | None = None
        self._generation = -1
        self._next = 0

    def look(self) -> None:
        """Passes on what is new, and ends the run of a job that is done, failed or ran out of time."""
        state = read_status(self.folder).state
        if self.closed or state in (State.PLANNED, State.SKIPPED):
            return
        identity = Identity.of_job(load_job(self.folder))
        run = self._opened(identity)
        if run is None:
            return
        done = (self.folder / "record.json").exists()
        points = curves.history if done else curves.live_history
        source = self.folder / "metrics.jsonl" if done else self.folder
        for step, values in points(source, identity.classes):
            if step >= self._next:
                self.tracker.try_to(run.log, step, values)
                self._next = step + 1
        if done:
            finished = Finished(load_kept(self.folder / "record.json"), self.folder)
            self._end(lambda run: self.tracker.complete(run, finished))
        elif state in (State.FAILED, State.TIMEOUT):
            self.leave()

    def leave(self) -> None:
        """Ends the run of a job that is not done; it goes on when the job does."""
        self._end(lambda run: self.tracker.try_to(run.close, ok=False))

    def _opened(self, identity: Identity) -> Run | None:
        """The run, if there is one. A run of a server that was given up is begun anew, offline."""
        if self._run is None or self._generation != self.tracker.generation:
            self._run = self.tracker.open(identity)
            self._generation = self.tracker.generation
            self._next = 0 if self._run is None else self._run.step
        return self._run

    def _end(self, how: Callable[[Run], object]) -> None:
        """Ends the run; if that gave up a server, the next look makes it anew, offline."""
        if self._run is not None and not self.closed:
            how(self._run)
            self._run = None
            self.closed = self._generation == self.tracker.generation


def follow(
    folders: Sequence[Path], kept: Sequence[Guarded], out: Path, ended: Callable[[float], bool]
) -> None:
    """Follows jobs until ``ended`` (given seconds to wait) says so, then ends all runs and makes the leaderboard."""
    followed = [FollowedJob(folder, tracker) for folder in folders for tracker in kept]
    last = False
    while not last:
        last = ended(POLL_SECONDS)
        for job in followed:
            with contextlib.suppress(RunStateError, OSError, ValueError):  # as if it were not there
                job.look()
    for job in followed:
        job.leave()
        with contextlib.suppress(RunStateError, OSError, ValueError):
            job.look()  # once more, for what a server did not take
            job.leave()
    found = boards(find_records(out))
    for tracker in kept:
        tracker.leaderboard(found)


def main(orders: IO[str], answers: IO[str]) -> None:
    """Follows the jobs that the first line of ``orders`` names."""
    asked = json.loads(orders.readline())
    tracking = Tracking(**asked["tracking"])
    out = Path(asked["out"])

    say = partial(print, file=answers, flush=True)
    kept = [Guarded(tracker, say) for tracker in trackers(tracking, out)]
    follow([Path(folder) for folder in asked["folders"]], kept, out, lambda wait: at_end(orders, wait))


def at_end(stream: IO[str], seconds: float) -> bool:
    """Waits until ``stream`` has ended, at most so long; whether it has."""
    ready, _, _ = select.select([stream], [], [], seconds)
    return bool(ready) and stream.read(1) == ""


if __name__ == "__main__":
    os.nice(_NICENESS)
    spoken = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries may print; only we answer
    main(sys.stdin, spoken)
