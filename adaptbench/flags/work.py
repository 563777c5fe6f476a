"""The flags of the verbs for many commands, on any number of machines, that share a results folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from adaptbench.flags.options import Flag, Json, Out, words
from adaptbench.flags.run import Run

_NotHere = tyro.conf.Suppress[tyro.conf.Fixed[bool]]


@dataclass(frozen=True)
class Work(Run):
    """Run free jobs of an experiment beside other workers, on any machines that share OUT, until none is left."""

    examples: ClassVar[tuple[str, ...]] = (
        "--out SHARED/results --plan experiment.yaml",
        "--out SHARED/results --methods source_only dacs oracle --seeds 0 1 2 --jobs 1",
    )

    config: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE.yaml", help_behavior_hint="", aliases=["--plan"])
    ] = None
    """The experiment, as run --write-config writes it; flags of the command line go before it. See docs/clusters.md."""
    leave: Flag = False
    """End when no job is free. By default a worker stays while others run jobs, and goes on with those of workers that
    stop."""
    only_failed: Flag = False
    """Take only jobs that failed, were interrupted or ran out of time. By default workers leave alone what failed or
    ran out of time."""
    submission: Annotated[Path | None, words("FILE.json")] = None
    """Take only the jobs of this file, which --launcher slurm writes, and none if code or plan have changed since."""
    write_config: tyro.conf.Suppress[tyro.conf.Fixed[Path | None]] = None
    launcher: tyro.conf.Suppress[tyro.conf.Fixed[Literal["local", "slurm"]]] = "local"
    cluster: tyro.conf.Suppress[tyro.conf.Fixed[Path | None]] = None
    requeue: tyro.conf.Suppress[tyro.conf.Fixed[int]] = 0
    dry_run: _NotHere = False
    yes: _NotHere = False
    force: _NotHere = False


@dataclass(frozen=True)
class Status:
    """Show how the jobs of a results folder stand, who works on them, and when they will be done."""

    examples: ClassVar[tuple[str, ...]] = ("--out SHARED/results", "--out SHARED/results --watch", "--json")

    out: Out = Path("results")
    watch: Flag = False
    """Look again every few seconds, until all jobs are done or have failed."""
    json: Json = False


@dataclass(frozen=True)
class Cancel:
    """Stop jobs at a checkpoint, wherever they run, and keep them from being begun until they are resumed."""

    examples: ClassVar[tuple[str, ...]] = ("", "--jobs dacs 0-0123abcd", "--resume")

    out: Out = Path("results")
    jobs: Annotated[tuple[str, ...], words("JOB ...")] = ()
    """Only these: methods, folders of runs or their names, or starts of job hashes. By default all jobs of the results
    folder, and all that are planned there later."""
    resume: Flag = False
    """Take it back: workers and runs that are started from now on go on with these jobs."""
