"""What this machine can run at once: cores, GPUs, and which job gets which GPU."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from adaptbench.planning import devices


@dataclass(frozen=True)
class Machine:
    """What jobs may use.

    Attributes:
        cores: that this process may use.
        gpus: names of GPUs as CUDA_VISIBLE_DEVICES takes them; none for jobs on the CPU.
    """

    cores: int
    gpus: tuple[str, ...] = ()

    def room(self, threads: int) -> int:
        """Jobs of that many threads that fit at once: one per GPU, and no core twice; at least one."""
        by_cores = self.cores // threads
        return max(1, min(by_cores, len(self.gpus)) if self.gpus else by_cores)

    def workers(self, wanted: int, jobs: int, threads: int) -> int:
        """Processes that load data for each of so many jobs at once: as many as are wanted and find a core idle.

        A training on a GPU keeps one core busy, and has at least one of them.
        """
        if self.gpus:
            return min(wanted, max(1, self.cores // jobs - 1))
        return min(wanted, max(0, self.cores // jobs - threads))

    def warning(self, jobs: int, threads: int) -> str:
        """What a user should know who runs that many jobs at once; empty if they fit."""
        if jobs <= self.room(threads):
            return ""
        where = f"{self.cores} {'core' if self.cores == 1 else 'cores'}"
        if self.gpus:
            where = f"{len(self.gpus)} {'GPU' if len(self.gpus) == 1 else 'GPUs'} and {where}"
        each = f"{threads} {'thread' if threads == 1 else 'threads'} each"
        return (
            f"{jobs} jobs at once, of {each}, will share {where}: they slow each other down and need memory for "
            f"{jobs}. --jobs {self.room(threads)} gives every job a place of its own."
        )


def machine_for(device: str) -> Machine:
    """This machine, for jobs on ``device`` (``cpu`` or ``cuda``)."""
    cores = len(os.sched_getaffinity(0))
    if device != "cuda":
        return Machine(cores)
    return Machine(cores, gpu_names(os.environ.get("CUDA_VISIBLE_DEVICES"), len(devices.gpus())))


def gpu_names(visible: str | None, count: int) -> tuple[str, ...]:
    """Names of the GPUs that can be used.

    Args:
        visible: CUDA_VISIBLE_DEVICES (indices, or identities of GPUs); None = not set.
        count: of GPUs that CUDA finds; what comes after an invalid name is not among them.
    """
    names = map(str, range(count)) if visible is None else (name.strip() for name in visible.split(","))
    return tuple(names)[:count]


def least_busy(gpus: Sequence[str], taken: Iterable[str | None]) -> str | None:
    """The GPU with the fewest jobs, the first of several; None if there is nothing to choose."""
    jobs = Counter(taken)
    return min(gpus, key=lambda gpu: jobs[gpu]) if len(gpus) > 1 else None
