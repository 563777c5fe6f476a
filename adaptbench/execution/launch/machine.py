"""What this machine can run at once: cores, GPUs, and which job gets which GPU."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from adaptbench.errors import UsageError
from adaptbench.planning import devices as found


@dataclass(frozen=True)
class Machine:
    """What jobs may use.

    Attributes:
        cores: that this process may use.
        gpus: names of GPUs as CUDA_VISIBLE_DEVICES takes them; none for jobs on the CPU.
    """

    cores: int
    gpus: tuple[str, ...] = ()

    def room(self, threads: int, devices: int = 1) -> int:
        """Jobs that fit at once: no GPU and no core twice; at least one.

        Args:
            threads: of each of its processes.
            devices: its processes, each with a GPU if there are any.
        """
        by_cores = self.cores // (threads * devices)
        return max(1, min(by_cores, len(self.gpus) // devices) if self.gpus else by_cores)

    def workers(self, wanted: int, jobs: int, threads: int) -> int:
        """Processes that load data for each of so many jobs at once: as many as are wanted and find a core idle.

        A training on a GPU keeps one core busy, and has at least one of them.
        """
        if self.gpus:
            return min(wanted, max(1, self.cores // jobs - 1))
        return min(wanted, max(0, self.cores // jobs - threads))

    def require_devices(self, devices: int) -> None:
        """Raises UsageError if there are fewer GPUs than a job shall use."""
        if self.gpus and devices > len(self.gpus):
            raise UsageError(
                f"--devices {devices}: there are {len(self.gpus)} GPUs that can be used here. Ask for fewer."
            )

    def warning(self, jobs: int, threads: int, devices: int = 1) -> str:
        """What a user should know who runs that many jobs at once; empty if they fit."""
        if jobs <= self.room(threads, devices):
            return ""
        where = f"{self.cores} {'core' if self.cores == 1 else 'cores'}"
        if self.gpus:
            where = f"{len(self.gpus)} {'GPU' if len(self.gpus) == 1 else 'GPUs'} and {where}"
        each = f"{threads} {'thread' if threads == 1 else 'threads'} each"
        each = f"{devices} devices with {each}" if devices > 1 else each
        return (
            f"{jobs} jobs at once, of {each}, will share {where}: they slow each other down and need memory for "
            f"{jobs}. --jobs {self.room(threads, devices)} gives every job a place of its own."
        )


def machine_for(device: str) -> Machine:
    """This machine, for jobs on ``device`` (``cpu`` or ``cuda``)."""
    cores = len(os.sched_getaffinity(0))
    if device != "cuda":
        return Machine(cores)
    return Machine(cores, gpu_names(os.environ.get("CUDA_VISIBLE_DEVICES"), len(found.gpus())))


def gpu_names(visible: str | None, count: int) -> tuple[str, ...]:
    """Names of the GPUs that can be used.

    Args:
        visible: CUDA_VISIBLE_DEVICES (indices, or identities of GPUs); None = not set.
        count: of GPUs that CUDA finds; what comes after an invalid name is not among them.
    """
    names = map(str, range(count)) if visible is None else (name.strip() for name in visible.split(","))
    return tuple(names)[:count]


def least_busy(gpus: Sequence[str], taken: Iterable[str | None], count: int = 1) -> str | None:
    """The GPUs with the fewest jobs, the first of several, as CUDA_VISIBLE_DEVICES; None if there is no choice."""
    jobs = Counter(gpu for names in taken if names is not None for gpu in names.split(","))
    chosen = sorted(gpus, key=lambda gpu: jobs[gpu])[:count]
    return ",".join(chosen) if len(gpus) > count else None
