"""Trackers that may fail: nothing of it reaches whoever tracks, and the user is told once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

from adaptbench.reporting.board import Board
from adaptbench.tracking.content import Finished, Identity, Run, Tracker
from adaptbench.tracking.wandb_runs import WandbTracker

P = ParamSpec("P")
T = TypeVar("T")
_LONGEST = 300


class Guarded:
    """A tracker of which every failure is told once and otherwise ignored.

    A server that cannot be used (no network, a wrong key, a full quota) is given up for all that follows: from then on
    runs are kept offline, from their first step. What was begun online stays on disk, too.
    """

    def __init__(self, tracker: Tracker, say: Callable[[str], None]) -> None:
        self.tracker = tracker
        self._say = say
        self._given_up = False
        self.generation = 0

    def open(self, identity: Identity) -> Run | None:
        """The job's run; None if the tracker was given up."""
        opened = self.try_to(self.tracker.open, identity)
        if opened is None and not self._given_up:  # offline now
            opened = self.try_to(self.tracker.open, identity)
        return opened

    def complete(self, run: Run, finished: Finished) -> None:
        """Shows the finished job and ends its run."""
        before = self.generation
        self.try_to(run.complete, finished)
        if self.generation == before:
            self.try_to(run.close, ok=True)

    def leaderboard(self, boards: Sequence[Board]) -> None:
        """The ranked tables."""
        before = self.generation
        self.try_to(self.tracker.leaderboard, boards)
        if self.generation > before:
            self.try_to(self.tracker.leaderboard, boards)

    def try_to(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """The result of ``action``; None if it failed or the tracker was given up."""
        if self._given_up:
            return None
        try:
            return action(*args, **kwargs)
        except Exception as error:
            self._fall_back(error)
            return None

    def _fall_back(self, error: Exception) -> None:
        reason = told(error)
        tracker = self.tracker
        if isinstance(tracker, WandbTracker) and tracker.project.mode == "online":
            tracker.keep_offline()
            self.generation += 1
            self._say(
                f"W&B cannot be reached or refuses ({reason}). Runs are kept in {tracker.folder}; to send them later: "
                f"{sync_line(tracker.folder)}"
            )
            return
        self._given_up = True
        self._say(f"{tracker.name} is given up for this run ({reason}). What it has is in {tracker.folder}.")


def sync_line(folder: Path) -> str:
    """The command that uploads what lies in a project's folder."""
    return f"wandb sync {folder / 'wandb' / 'offline-run-*'}"


def told(error: BaseException) -> str:
    """An error as one line, without any key."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    key = os.environ.get("WANDB_API_KEY")
    return (text.replace(key, "[key]") if key else text)[:_LONGEST]
