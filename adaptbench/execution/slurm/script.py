"""The script of an array of workers."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from adaptbench.contracts.plugins import ROOT
from adaptbench.execution.slurm.cluster import NOTICE_SECONDS, Cluster
from adaptbench.execution.slurm.kinds import Kind

#: In the results folder, where submissions are.
FOLDER = "slurm"
#: What comes after the options of sbatch.
_BODY = """
set -e
{setup}
set +e

# Slurm sends USR1 to this script alone, and SIGTERM of scancel to the worker as well, whom a second one would kill.
limit=no
trap 'limit=yes; kill -TERM "$!"' USR1
trap : TERM
{worker} &
wait "$!"; ended=$?
while kill -0 "$!" 2>/dev/null; do wait "$!"; ended=$?; done
{again}exit "$ended"
"""
_REQUEUE = """
if [ "$limit" = yes ] && [ "$ended" -ne 0 ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {times} ]; then
    scontrol requeue "$SLURM_JOB_ID" && sleep 60  # which ends here
fi
"""


@dataclass(frozen=True)
class Array:
    """An array of workers for jobs of one kind.

    Attributes:
        out: results folder, absolute.
        name: of the submission.
        tasks: workers.
        requeue: how often a worker goes on after its time limit.
    """

    kind: Kind
    cluster: Cluster
    out: Path
    name: str
    tasks: int
    requeue: int

    @property
    def folder(self) -> Path:
        """Of its files, and of what its workers say."""
        return self.out / FOLDER / self.name

    @property
    def script(self) -> Path:
        """For sbatch."""
        return self.folder / f"{self.kind.name}.sh"

    @property
    def submission(self) -> Path:
        """Which jobs its workers may take."""
        return self.folder / f"{self.kind.name}.json"

    @property
    def experiment(self) -> Path:
        """The plan of its workers."""
        return self.folder / f"{self.kind.name}.yaml"

    @property
    def links(self) -> int:
        """How many arrays follow the first one, as workers may not requeue themselves."""
        return 0 if self.cluster.requeue else self.requeue

    def text(self) -> str:
        """The script."""
        header = "".join(f"#SBATCH {option}\n" for option in self._options())
        requeues = self.requeue and self.cluster.requeue
        again = _REQUEUE.format(times=self.requeue) if requeues else ""
        setup = "\n".join(self.cluster.setup) or ":"
        return "#!/bin/bash\n" + header + _BODY.format(setup=setup, worker=self._worker(), again=again)

    def _worker(self) -> str:
        """Its command; it ends when no job is free, so that no node is held by who waits."""
        files = ["--plan", self.experiment, "--out", self.out, "--submission", self.submission]
        words = [ROOT / "run_all.py", "work", *files, "--jobs", "1", "--leave"]
        python = self.cluster.python or shlex.quote(sys.executable)
        return f"{python} {shlex.join(map(str, words))}"

    def _options(self) -> list[str]:
        ask, devices = self.cluster.ask(self.kind.size), self.kind.devices
        said = {
            "job-name": f"adaptbench-{self.kind.name}",
            "array": f"0-{self.tasks - 1}",
            "chdir": str(Path.cwd()),
            "output": str(self.folder / f"{self.kind.name}-%A_%a.txt"),
            "open-mode": "append",
            "nodes": "1",
            "ntasks": "1",
            "cpus-per-task": str(ask.cpus or self.kind.threads * devices),
            "gres": f"{ask.gres}:{devices}" if self.kind.device == "cuda" else None,
            "mem": ask.mem,
            "time": None if ask.minutes is None else str(ask.minutes),
            "signal": f"B:USR1@{NOTICE_SECONDS}",
            "partition": ask.partition,
            "account": ask.account,
            "qos": ask.qos,
            "constraint": ask.constraint,
        }
        stated = [f"--{name}={shlex.quote(value)}" for name, value in said.items() if value is not None]
        requeue = [] if not self.requeue else ["--requeue" if self.cluster.requeue else "--no-requeue"]
        return [*stated, *requeue, *self.cluster.options]
