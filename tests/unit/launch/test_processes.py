from __future__ import annotations

import multiprocessing
import os
import platform
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adaptbench.launch.processes import end_with_parent, keep_freed_memory, locked
from adaptbench.training.loop import InterruptedTrainingError


def test_lock_is_held_and_released(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / ".lock", lambda: False):
            pass


def test_waiting_for_a_lock_can_be_stopped(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with locked(path, lambda: False), pytest.raises(InterruptedTrainingError, match="another run"):  # noqa: SIM117
        with locked(path, _after(1)):
            raise AssertionError("two holders")


def test_process_whose_parent_ended_before_it_asked_dies() -> None:
    child = multiprocessing.get_context("fork").Process(target=end_with_parent, args=(os.getppid(),))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


def test_process_ends_with_its_parent() -> None:
    context = multiprocessing.get_context("fork")
    answer, ours = context.Pipe(duplex=False)

    def middle() -> None:
        if os.fork() == 0:
            end_with_parent(os.getppid())
            ours.send(os.getpid())
            time.sleep(60)
        time.sleep(60)

    parent = context.Process(target=middle)
    parent.start()
    grandchild = answer.recv()
    parent.kill()
    parent.join()
    deadline = time.monotonic() + 10
    while _alive(grandchild):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")
def test_freed_memory_is_kept() -> None:
    before, after = (_pages_asked_for(prepare) for prepare in (lambda: None, keep_freed_memory))
    assert after < before / 10


def _pages_asked_for(prepare: Callable[[], None]) -> int:
    """Pages that a process gets from the kernel while it makes and frees five tensors of 24 MiB again and again."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def make() -> None:
        _ = [torch.ones(6 << 20) for _ in range(5)]

    def child() -> None:
        torch.set_num_threads(1)  # threads do not survive the fork, and waiting for them never ends
        prepare()
        make()
        first = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            make()
        theirs.send(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - first)

    process = context.Process(target=child)
    process.start()
    process.join()
    pages: int = ours.recv()
    return pages


def _alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _after(calls: int) -> object:
    left = iter([False] * calls)
    return lambda: next(left, True)
