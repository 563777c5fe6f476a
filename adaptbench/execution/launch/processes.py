"""What a job process needs of its surroundings: threads, locks, a way to stop, an end with its parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import torch
from filelock import FileLock, Timeout

from adaptbench.errors import InterruptedTrainingError

_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 32 << 20  # the most that glibc accepts
_LOCK_POLL_SECONDS = 0.5


def end_with_parent(parent: int) -> None:
    """Asks the kernel to kill this process when the one that started it ends (Linux; elsewhere nothing)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def locked(path: Path, stop: Callable[[], bool]) -> Iterator[None]:
    """Holds the lock file ``path``, after waiting for whoever has it, unless asked to stop."""
    lock = FileLock(path)
    while not lock.is_locked:
        if stop():
            raise InterruptedTrainingError("Stopped while another run works on this; run again to go on.")
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=_LOCK_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


def fix_threads(threads: int) -> None:
    """Fixes the number of threads and deterministic kernels: they decide the bits of a training."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(0)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # By default every new tensor is filled, so that kernels that read too early are noticed.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def keep_freed_memory() -> None:
    """Lets the process keep the memory of freed tensors up to 32 MiB (glibc; elsewhere nothing).

    Handing it back to the kernel and asking for it again costs a small training a tenth of its time.
    """
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, -1)


def stop_flag() -> Callable[[], bool]:
    """What becomes true when this process is asked to end (SIGTERM or SIGINT)."""
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda came, _: asked.append(came))
    return lambda: bool(asked)
