"""How far a job is: in its ``status`` for who watches, and on standard output, which is its ``log.txt``."""

from __future__ import annotations

import math
import os
import resource
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType

import torch

from adaptbench.records.jobspec import State, Status, write_status

#: Least time between two writings of the status, and between two lines. Units: seconds.
_STATUS_EVERY, _LINE_EVERY = 0.5, 60.0
_NO_LOSSES: Mapping[str, float] = MappingProxyType({})


def say(text: str) -> None:
    """A line of the log, with the local time."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", flush=True)  # noqa: T201


class Progress:
    """Tells how far one part of a job is: a line when it begins, one a minute, and one when it is done."""

    def __init__(self, folder: Path, stage: str, job: int | None = None) -> None:
        self._folder = folder
        self._stage = stage
        self._job = job or os.getpid()
        self._began = self._said = time.monotonic()
        self._written = -math.inf
        self._total = 0
        self._where = self._losses = ""

    @classmethod
    def of_parent(cls, folder: Path, stage: str) -> Progress:
        """Of what is done on behalf of the job's process, our parent."""
        return cls(folder, stage, os.getppid())

    def __enter__(self) -> Progress:
        say(f"{self._stage}: begins")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:  # else whoever catches it says why
            self._say(f"done, {self._total} of {self._total}")

    def report(
        self, number: int, total: int, loss: float | None = None, losses: Mapping[str, float] = _NO_LOSSES
    ) -> None:
        """Called as often as there is something new, with the losses that were logged last."""
        now = time.monotonic()
        self._total, self._where, self._losses = total, f"{number} of {total}", _words(loss, losses)
        if now - self._written > _STATUS_EVERY:
            self._written = now
            status = Status(state=State.RUNNING, stage=self._stage, iteration=number, total=total, loss=loss)
            write_status(self._folder, status.model_copy(update={"pid": self._job}))
        self._say_each_minute()

    def while_asking(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """``stop``, for work that asks it more often than it reports: it says a line, too, when one is due."""

        def asked() -> bool:
            self._say_each_minute()
            return stop()

        return asked

    def _say_each_minute(self) -> None:
        if time.monotonic() - self._said >= _LINE_EVERY:
            self._say(self._where)

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        say(f"{self._stage}: {text}{self._losses}, {self._said - self._began:.1f} s")


def peak_memory(device: torch.device) -> float:
    """Of this process so far: resident on a CPU, allocated on a GPU. Units: MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _words(loss: float | None, losses: Mapping[str, float]) -> str:
    if loss is None:
        return ""
    parts = ", ".join(f"{name} {value:.4f}" for name, value in losses.items())
    return f", loss {loss:.4f}" + (f" ({parts})" if len(losses) > 1 else "")
