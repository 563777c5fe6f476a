"""Which jobs need the same of a cluster: how many GPUs, and how much memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adaptbench.contracts.resources import Resources
from adaptbench.planning.estimates import Costs, Estimate

if TYPE_CHECKING:
    from adaptbench.planning.plan import Job
    from adaptbench.records.jobspec import JobSpec

#: On top of the peak that finished runs tell, which knows nothing of the device's own needs.
_MARGIN = 1.1
_MIB, _GB = 2**20, 10**9


@dataclass(frozen=True)
class Kind:
    """Jobs that need the same.

    Attributes:
        devices: that train one job together.
        size: the smallest of the cluster's sizes that they fit into; None = it has none. Units: GB.
    """

    device: str
    devices: int
    size: float | None
    jobs: tuple[Job, ...]

    @property
    def threads(self) -> int:
        """Of a training, on each of its devices."""
        return max(job.spec.threads for job in self.jobs)

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.devices}x{self.device}" + ("" if self.size is None else f"-{self.size:g}gb")


def kinds_of(
    jobs: Iterable[Job], sizes: Iterable[float], costs: Costs, resources: Callable[[str], Resources]
) -> list[Kind]:
    """Sorts jobs into kinds.

    Args:
        jobs: in the order of the plan.
        sizes: of memory, among which a cluster has different nodes. Units: GB.
        costs: what finished runs tell of jobs.
        resources: of a method by name.
    """
    found: dict[tuple[str, int, float | None], list[Job]] = defaultdict(list)
    ascending = sorted(sizes)
    for job in jobs:
        needs = _needs(job.spec, costs.get(job.folder), resources(job.spec.method))
        found[job.spec.device, needs.gpus, _size(needs.memory, ascending)].append(job)
    return [Kind(*key, tuple(alike)) for key, alike in found.items()]


def _needs(spec: JobSpec, estimate: Estimate | None, stated: Resources) -> Resources:
    """What a job needs: of memory what finished runs tell, else what is stated for its settings."""
    as_stated = spec.device == "cuda" and spec.profile == "paper"
    gpus = stated.gpus if as_stated and not spec.compiled else 1
    memory = stated.memory if as_stated and not spec.overrides else None
    if estimate is not None and not estimate.elsewhere:
        memory = estimate.memory_mib * _MIB / _GB * _MARGIN
    return Resources(max(spec.devices, gpus), memory)


def _size(memory: float | None, ascending: list[float]) -> float | None:
    """The smallest size that holds so much; the largest where it is not known, or nothing does."""
    largest = ascending[-1] if ascending else None
    return next((size for size in ascending if memory is not None and memory <= size), largest)
