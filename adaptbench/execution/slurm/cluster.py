"""What workers ask a cluster for: a YAML file of its user."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt

from adaptbench.execution.launch.time_limit import seconds_of
from adaptbench.storage import yaml_file

#: Before the time limit of a worker, to save checkpoints: jobs have a minute to do so. Units: seconds.
NOTICE_SECONDS = 120


def _long_enough(text: str) -> str:
    if seconds_of(text) <= NOTICE_SECONDS:
        raise ValueError(f"workers stop {NOTICE_SECONDS} seconds before it: give more")
    return text


_Word = Annotated[str, Field(pattern=r"^\S+$")]
_Line = Annotated[str, Field(pattern=r"^[^\r\n]+$")]
_Option = Annotated[str, Field(pattern=r"^-[^\r\n]+$")]
_Count = Annotated[StrictInt, Field(ge=1)]
_Duration = Annotated[str, AfterValidator(_long_enough)]


class Ask(BaseModel):
    """What a worker asks for; what is not said is the cluster's default.

    Attributes:
        gres: of one GPU, like ``gpu`` or ``gpu:a100``.
        cpus: cores; by default the threads of the profile for each device.
        time: limit, like ``24h``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition: _Word | None = None
    account: _Word | None = None
    qos: _Word | None = None
    constraint: _Word | None = None
    gres: _Word = "gpu"
    cpus: _Count | None = None
    mem: _Word | None = None
    time: _Duration | None = None

    @property
    def minutes(self) -> int | None:
        """The time limit, as Slurm takes it; None = the cluster's default."""
        return None if self.time is None else math.ceil(seconds_of(self.time) / 60)


class Cluster(Ask):
    """A cluster.

    Attributes:
        setup: lines of the shell before a worker starts.
        python: command in the place of the Python that submits, as of a container.
        max_parallel: most workers of one array.
        requeue: whether workers may requeue themselves; else arrays follow each other.
        options: further ones of sbatch.
        by_memory: what jobs ask for that need at most so much memory, of a GPU or on the CPU, in the place of what is
            said above. Units: GB.
    """

    setup: tuple[_Line, ...] = ()
    python: _Line | None = None
    max_parallel: _Count | None = None
    requeue: bool = True
    options: tuple[_Option, ...] = ()
    by_memory: dict[Annotated[float, Field(gt=0)], Ask] = {}

    def ask(self, size: float | None) -> Ask:
        """What a worker asks for whose jobs need at most ``size``, a key of `by_memory`; None = there are no sizes."""
        return (
            self
            if size is None
            else self.model_copy(update=self.by_memory[size].model_dump(exclude_unset=True))
        )


def load(path: Path | None) -> Cluster:
    """The cluster that a file describes; without any, one in which everything is left to its defaults.

    Raises:
        UsageError: the file cannot be read, or has an unknown key or a wrong value; names line and key.
    """
    return Cluster() if path is None else yaml_file.validated(Cluster, path)
