"""The walk-through of docs/clusters.md on a scheduler that is started here: real workers, whose jobs are stand-ins."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import reason_against, running, said, wait_until

from adaptbench.planning.overview import Standing, overview

from .bench import REPOSITORY, call
from .workers import PARTS

pytestmark = pytest.mark.skipif(bool(reason_against()), reason=reason_against())


@pytest.fixture(scope="module", autouse=True)
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with running(tmp_path_factory.mktemp("slurm")):
        yield


def blocks() -> tuple[str, list[str]]:
    """The cluster's file and the commands of the walk-through."""
    section = (
        (REPOSITORY / "docs" / "clusters.md")
        .read_text()
        .partition("\n## On Slurm\n")[2]
        .partition("\n## ")[0]
    )
    (cluster,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    (commands,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    lines = commands.replace("\\\n", " ").splitlines()
    return cluster, [line.partition("#")[0].strip() for line in lines]


def test_walk_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One task cancelled, one signalled and requeued, one node drained: every job is done, and once."""
    cluster, commands = blocks()
    submit, status, cancel, drain, signal, start = commands
    out = tmp_path / "my results"
    monkeypatch.chdir(tmp_path)
    worker = shlex.join([sys.executable, str(Path(__file__).with_name("slurm_worker.py"))])
    Path("cluster.yaml").write_text(f"{cluster}python: {worker}\n")

    job = re.findall(r"scancel (\d+) ", ours(submit, out, tmp_path))[0]
    assert len(tasks(job)) == 2
    wait_until(lambda: len(running_jobs(out)) == 2, "two jobs that run")
    assert re.search(r"[12] running", ours(status, out, tmp_path))
    theirs(cancel, job)
    wait_until(lambda: [*tasks(job)] == [f"{job}_0"], "the end of the cancelled task")

    node = tasks(job)[f"{job}_0"][1]
    theirs(drain, job, node)
    wait_until(lambda: is_amid(out), "a job that goes on where nothing is begun any more")
    assert tasks(job)[f"{job}_0"] == ("RUNNING", node)
    theirs(signal, job)
    wait_until(lambda: tasks(job)[f"{job}_0"][0] == "PENDING", "a task that was requeued")
    assert not running_jobs(out)
    theirs(start, job)
    wait_until(lambda: running_jobs(out), "a task that goes on")
    assert tasks(job)[f"{job}_0"][1] not in ("", node)

    wait_until(lambda: not tasks(job), "the end of the array")
    assert "ExitCode=0:0" in said("scontrol", "show", "job", f"{job}_0")
    jobs = overview(out).jobs
    assert [one.standing for one in jobs] == [Standing.DONE] * 6, logs(out)
    again = sum(lines(one.folder / "begun") for one in jobs) - 6
    assert again in (1, 2), logs(out)  # the task that was cancelled may have been between two jobs
    assert [(lines(one.folder / "parts"), lines(one.folder / "done")) for one in jobs] == [(PARTS, 1)] * 6


def ours(command: str, out: Path, tmp_path: Path) -> str:
    """Calls a command of ours, on the CPU."""
    words = shlex.split(
        command.replace("SHARED/results", shlex.quote(str(out))).replace("--device cuda", "--device cpu")
    )
    assert words[:2] == ["python", "run_all.py"]
    answer = call(words[2:], {"ADAPTBENCH_CACHE": str(tmp_path / "cache")})
    assert answer.code == 0, answer.output
    return answer.output


def theirs(command: str, job: str, node: str = "") -> None:
    """Calls a command of the scheduler."""
    words = [word.replace("JOB", job).replace("NODE", node) for word in shlex.split(command)]
    subprocess.run(words, check=True)


def tasks(job: str) -> dict[str, tuple[str, str]]:
    """State and node of the tasks in the queue."""
    lines = said("squeue", "-h", "-r", f"--job={job}", "-o", "%i|%T|%N").splitlines()
    return {name: (state, node) for name, state, node in (line.split("|") for line in lines)}


def running_jobs(out: Path) -> list[Path]:
    return [one.folder for one in overview(out).jobs if one.standing is Standing.RUNNING]


def is_amid(out: Path) -> bool:
    """Whether a job runs that is about neither to begin nor to end."""
    return any(0 < lines(folder / "parts") <= PARTS // 2 for folder in running_jobs(out))


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def logs(out: Path) -> str:
    return "\n".join(path.read_text() for path in out.glob("slurm/*/*.txt"))
