"""Signals that are sent to a whole process group, as schedulers and terminals do, reach workers too."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from forks import in_fork

from adaptbench import signals
from adaptbench.data import workers
from adaptbench.data.stream import TrainingStream, batches
from adaptbench.errors import RunStateError


class _Numbers(SimpleNamespace):
    """As much of a stream as a loader needs."""

    rare_classes = balanced_picks = None

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> int:
        time.sleep(0.02)
        return index


def test_a_training_whose_group_is_asked_to_stop_gets_all_its_batches() -> None:
    in_fork(_stopped_with_its_group)


def _stopped_with_its_group() -> None:
    os.setsid()
    stop = signals.stop_flag()
    seen: list[Any] = []
    for batch in batches(cast("TrainingStream", _Numbers()), 0, 2):
        seen.append(batch)
        if len(seen) == 2:
            _ask_the_group()
    assert stop()
    assert seen == list(range(12))


def _ask_the_group() -> None:
    """From another process, as a scheduler does."""
    asking = os.fork()
    if asking == 0:
        os.killpg(0, signal.SIGTERM)
        os._exit(0)
    os.waitpid(asking, 0)


def test_a_killed_worker_is_noticed() -> None:
    with pytest.raises(
        RunStateError, match=r"One of 2 worker processes ended without finishing.*out of memory"
    ):
        list(workers.each(os._exit, [1, 1, 1], 2))


def test_workers_end_with_a_killed_parent() -> None:
    asking = os.fork()
    if asking == 0:
        list(workers.each(time.sleep, [600, 600], 2))
    try:
        _wait(lambda: len(_workers(asking)) == 2)
        left = _workers(asking)
    finally:
        os.kill(asking, signal.SIGKILL)
        os.waitpid(asking, 0)
    _wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left))


def _workers(parent: int) -> list[str]:
    """Processes that a process has spawned and that have begun, without the one that counts semaphores."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]


def _wait(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)
