"""What status and cancel say and do, from files alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adaptbench.cli import main
from adaptbench.commands import status as verb
from adaptbench.planning import overview
from adaptbench.planning.plan import Job, make_plan
from adaptbench.planning.request import Request
from adaptbench.records import cancelled
from adaptbench.records.jobspec import State, Status, save_job, write_status
from adaptbench.storage import claims

SEEDS = tuple(range(8))


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """A job per seed that nobody has begun."""
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))
    request = Request(methods=("dacs",), seeds=SEEDS, out=tmp_path / "out", device="cpu")
    planned = make_plan(request).jobs
    for job in planned:
        job.folder.mkdir(parents=True)
        save_job(job.spec, job.folder)
    return planned


def _json(out: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["status", "--out", str(out), "--json"]) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def _stand(jobs: list[Job], out: Path) -> None:
    """Done, failed, out of time, interrupted, waiting, cancelled, running, and one that nobody has begun."""
    states = (State.DONE, State.FAILED, State.TIMEOUT, State.INTERRUPTED)
    for job, state in zip(jobs, states, strict=False):
        write_status(job.folder, Status(state=state, reason=f"it {state}"))
    write_status(jobs[4].folder, Status(state=State.WAITING, waits_for="abc", reason="it waits"))
    cancelled.cancel(jobs[5].folder)
    claims.take_free(out / "stages" / "abc", claims.Watch(), "host-7")
    claims.take_free(jobs[6].folder, claims.Watch(), "host-7")
    write_status(jobs[6].folder, Status(state=State.RUNNING, stage="train", iteration=30, total=40))
    claims.take_free(out / "workers" / "host-7", claims.Watch(), "host-7")


def test_every_job_stands_somewhere(
    jobs: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    _stand(jobs, out)
    found = _json(out, capsys)
    standing = [job["standing"] for job in found["jobs"]]
    usual = ["done", "failed", "timeout", "free", "waiting", "cancelled", "running", "free"]
    assert standing == usual
    assert found["counts"] == {word: standing.count(word) for word in found["counts"]}
    (worker,) = found["workers"]
    assert (worker["name"], worker["gone"], worker["jobs"]) == ("host-7", False, [str(jobs[6].folder)])
    assert 0 <= worker["heartbeat_seconds"] < 60
    assert (found["seconds_left"], found["without_estimate"]) == (None, 4)


def test_what_people_see(jobs: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _stand(jobs, tmp_path / "out")
    assert main(["status", "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "8 jobs: 1 done, 1 running, 2 free, 1 waiting, 1 cancelled, 1 timeout, 1 failed." in shown
    assert "train 30/40" in shown and "it failed" in shown and "it waits" in shown and "host-7" in shown


def test_what_is_left_is_estimated_from_finished_runs(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a job that runs so much less as it has done."""
    _stand(jobs, tmp_path / "out")
    estimate = overview.Estimate(100.0, 1.0)
    monkeypatch.setattr(overview.Estimates, "of", lambda *_: estimate)
    found = overview.overview(tmp_path / "out")
    assert (found.left.jobs, found.left.in_a_row) == (4, 3 * 100 + 25)


def test_a_worker_that_died_elsewhere_is_gone_and_its_job_free(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stand(jobs, tmp_path / "out")
    monkeypatch.setattr(claims, "machine", lambda: "another")
    monkeypatch.setattr(claims, "shared_time", lambda folder: 1e11)
    found = overview.overview(tmp_path / "out")
    assert found.jobs[6].standing == "free"
    assert [(worker.gone, worker.jobs) for worker in found.workers] == [(True, [])]


def test_watching_ends_when_all_is_over(
    jobs: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def last(seconds: float) -> None:
        for job in jobs:
            write_status(job.folder, Status(state=State.DONE))

    monkeypatch.setattr(verb.time, "sleep", last)
    assert main(["status", "--out", str(tmp_path / "out"), "--watch"]) == 0
    assert "8 jobs: 8 done." in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["status", "cancel"])
def test_a_folder_that_is_not_there(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--out", str(tmp_path / "nowhere")]) == 2
    assert "there is no such results folder" in capsys.readouterr().err


def test_cancelling_all_and_resuming(
    jobs: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["cancel", "--out", str(out), "--jobs", jobs[0].folder.name]) == 0
    assert main(["cancel", "--out", str(out)]) == 0
    assert _json(out, capsys)["counts"]["cancelled"] == len(SEEDS)
    assert main(["cancel", "--out", str(out), "--jobs", "dacs", "--resume"]) == 2
    assert "leave --jobs out" in capsys.readouterr().err
    assert main(["cancel", "--out", str(out), "--resume"]) == 0
    assert _json(out, capsys)["counts"]["free"] == len(SEEDS), "also what was cancelled alone"


@pytest.mark.parametrize("how", ["method", "folder", "name", "hash"])
def test_cancelling_some(
    how: str, jobs: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job, out = jobs[3], tmp_path / "out"
    names = {
        "method": "dacs",
        "folder": str(job.folder),
        "name": job.folder.name,
        "hash": job.spec.job_hash[:10],
    }
    assert main(["cancel", "--out", str(out), "--jobs", names[how]]) == 0
    assert f"Cancelled {len(SEEDS) if how == 'method' else 1} job" in capsys.readouterr().out
    assert cancelled.is_cancelled(job.folder)
    assert cancelled.is_cancelled(jobs[4].folder) == (how == "method")


def test_a_job_that_is_not_there(jobs: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cancel", "--out", str(tmp_path / "out"), "--jobs", "dacs", "hrda"]) == 2
    assert "--jobs hrda: no job of" in capsys.readouterr().err
    assert not cancelled.is_cancelled(jobs[0].folder)


def test_a_worker_needs_an_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["work", "--out", str(tmp_path)]) == 2
    assert "--plan FILE" in capsys.readouterr().err
