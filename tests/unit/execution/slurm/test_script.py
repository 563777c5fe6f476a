"""The script of an array, run by a shell with a worker and a scheduler that only say what they are told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from made_jobs import made_job as job

from adaptbench.execution.slurm.cluster import Cluster
from adaptbench.execution.slurm.kinds import Kind
from adaptbench.execution.slurm.script import Array

#: Ends when it is asked to stop, a little later; counts how often.
WORKER = """
trap 'echo asked; sleep 0.2; exit 143' TERM
echo ready "$@"
while true; do sleep 0.05; done
"""


def array(tmp_path: Path, cluster: Cluster, requeue: int = 0, **changed: Any) -> Array:
    jobs = (job("a", **changed),)
    return Array(
        Kind(jobs[0].spec.device, jobs[0].spec.devices, None, jobs), cluster, tmp_path, "abc", 4, requeue
    )


def options(made: Array) -> list[str]:
    return [
        line.removeprefix("#SBATCH --") for line in made.text().splitlines() if line.startswith("#SBATCH ")
    ]


def test_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cluster = Cluster(
        partition="gpu", account="me", qos="long", mem="32G", time="1h30m", options=("--exclude=n7",)
    )
    told = options(array(tmp_path, cluster, devices=2))
    assert told == [
        "job-name=adaptbench-2xcuda",
        "array=0-3",
        f"chdir={tmp_path}",
        f"output={tmp_path}/slurm/abc/2xcuda-%A_%a.txt",
        "open-mode=append",
        "nodes=1",
        "ntasks=1",
        "cpus-per-task=16",
        "gres=gpu:2",
        "mem=32G",
        "time=90",
        "signal=B:USR1@120",
        "partition=gpu",
        "account=me",
        "qos=long",
        "exclude=n7",
    ]


def test_a_cpu_asks_for_no_gpu(tmp_path: Path) -> None:
    told = options(array(tmp_path, Cluster(cpus=3), device="cpu"))
    assert "cpus-per-task=3" in told
    assert not any(option.startswith("gres") for option in told)


def test_going_on_after_the_limit(tmp_path: Path) -> None:
    """By the worker itself, or where that is forbidden by arrays that follow."""
    itself, followed = array(tmp_path, Cluster(), 3), array(tmp_path, Cluster(requeue=False), 3)
    assert options(itself)[-1] == "requeue" and "scontrol requeue" in itself.text() and itself.links == 0
    assert options(followed)[-1] == "no-requeue" and "scontrol" not in followed.text() and followed.links == 3


def test_its_worker(tmp_path: Path) -> None:
    text = array(tmp_path, Cluster(setup=("module load a", "b=c"))).text()
    setup, _, rest = text.partition("set -e\n")[2].partition("\nset +e")
    assert setup == "module load a\nb=c"
    assert f"{sys.executable} " in rest
    folder = tmp_path / "slurm" / "abc"
    command = f"work --plan {folder}/1xcuda.yaml --out {tmp_path} --submission {folder}/1xcuda.json --jobs 1 --leave &"
    assert command in rest


@pytest.mark.parametrize(("restarts", "again"), [("", True), ("1", True), ("2", False)])
def test_the_signal_before_the_limit(tmp_path: Path, restarts: str, again: bool) -> None:
    """One SIGTERM for the worker, however it is asked, and a requeue if there is one left."""
    said, code = run(tmp_path, array(tmp_path, cluster(tmp_path), 2), signal.SIGUSR1, restarts)
    assert said.count("asked") == 1
    assert ("requeue 77" in said) is again
    assert code == 143


def test_sigterm_of_the_scheduler_reaches_the_worker_without_the_script(tmp_path: Path) -> None:
    said, code = run(tmp_path, array(tmp_path, cluster(tmp_path), 2), signal.SIGTERM)
    assert said.count("asked") == 1
    assert "requeue" not in said
    assert code == 143


def test_a_worker_that_has_nothing_left_to_do(tmp_path: Path) -> None:
    made = array(tmp_path, Cluster(python="true"), 2)
    assert run(tmp_path, made, None) == ("", 0)
    assert run(tmp_path, array(tmp_path, Cluster(python="false"), 2), None) == ("", 1)


def test_setup_that_fails_starts_no_worker(tmp_path: Path) -> None:
    made = array(tmp_path, Cluster(setup=("false", "true"), python="echo started"))
    assert run(tmp_path, made, None) == ("", 1)


def cluster(tmp_path: Path) -> Cluster:
    return Cluster(python=f"bash {tmp_path / 'worker.sh'}")


def run(tmp_path: Path, made: Array, number: signal.Signals | None, restarts: str = "") -> tuple[str, int]:
    """What script and worker say, and how the script ends; SIGTERM goes to both, as from Slurm."""
    (tmp_path / "worker.sh").write_text(WORKER)
    (tmp_path / "scontrol").write_text('#!/bin/bash\necho "$@"\nexit 1\n')  # a requeue would end the script
    (tmp_path / "scontrol").chmod(0o755)
    (tmp_path / "script.sh").write_text(made.text())
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "77"}
    variables |= {"SLURM_RESTART_COUNT": restarts} if restarts else {}
    with (tmp_path / "said.txt").open("w") as said:
        process = subprocess.Popen(
            ["bash", str(tmp_path / "script.sh")], stdout=said, env=variables, start_new_session=True
        )
    if number is not None:
        while "ready" not in (tmp_path / "said.txt").read_text():
            time.sleep(0.01)
        to_all = number == signal.SIGTERM
        (os.killpg if to_all else os.kill)(process.pid, number)
    code = process.wait(60)
    return (tmp_path / "said.txt").read_text(), code
