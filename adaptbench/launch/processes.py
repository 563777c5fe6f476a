"""What a job process needs of its surroundings: fixed threads, a way to stop, an end with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from types import FrameType

import cv2
import torch

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Asks the kernel to kill this process when the one that started it ends (Linux; elsewhere nothing)."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended in between
        os.kill(os.getpid(), signal.SIGKILL)


def fix_threads(threads: int) -> None:
    """Fixes the number of threads and deterministic kernels: they decide the bits of a training."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(0)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False


class StopFlag:
    """Becomes true when this process is asked to end (SIGTERM or SIGINT)."""

    def __init__(self) -> None:
        self._raised = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._raise)

    def __call__(self) -> bool:
        """Whether it was asked."""
        return self._raised

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self._raised = True
