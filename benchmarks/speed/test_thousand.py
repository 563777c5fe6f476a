"""A plan of 1,000 jobs, new and finished, a report over 1,000 records, for the first time and again, and their status.

Run with ``pytest benchmarks/speed/test_thousand.py --benchmark-only``. The folder of 1,000 finished jobs, 200 rows of a
leaderboard with five seeds each, is made once, which takes a while and is not timed.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from finished_jobs import finish, planned, request

from adaptbench.cli import main
from adaptbench.planning.overview import overview
from adaptbench.planning.plan import make_plan
from adaptbench.records.jobspec import State, Status, save_job, write_status
from adaptbench.storage import claims

ROWS, SEEDS = 200, 5


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    jobs = planned(folder, ROWS, SEEDS)
    finish(jobs)
    finish(make_plan(request(folder / "one_plan", ROWS * SEEDS // 2, 0)).jobs)
    return folder


@pytest.mark.benchmark(group="plan of 1,000 jobs")
def test_plan_of_new_jobs(benchmark: Any, tmp_path: Path) -> None:
    plan = benchmark(make_plan, request(tmp_path, ROWS * SEEDS // 2, 0))
    assert len(plan.jobs) == ROWS * SEEDS


@pytest.mark.benchmark(group="plan of 1,000 jobs")
def test_plan_of_finished_jobs(benchmark: Any, out: Path) -> None:
    plan = benchmark(make_plan, request(out / "one_plan", ROWS * SEEDS // 2, 0))
    assert {job.state for job in plan.jobs} == {"done"}


@pytest.mark.benchmark(group="report over 1,000 records")
def test_first_report(benchmark: Any, out: Path) -> None:
    def forget() -> None:
        shutil.rmtree(out / "leaderboards", ignore_errors=True)

    benchmark.pedantic(main, (["report", "--out", str(out)],), setup=forget, rounds=3)
    assert (out / "leaderboards/leaderboard.csv").read_text().count("\n") == ROWS + 1


@pytest.mark.benchmark(group="report over 1,000 records")
def test_report_again(benchmark: Any, out: Path) -> None:
    main(["report", "--out", str(out)])
    benchmark.pedantic(main, (["report", "--out", str(out)],), rounds=3)


@pytest.mark.benchmark(group="status of 1,000 jobs")
def test_status(benchmark: Any, tmp_path: Path) -> None:
    """A ninth of them done, 57 running on another machine, the others to do."""
    jobs = planned(tmp_path, ROWS, SEEDS)
    finish(jobs[::9])
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setattr(claims, "machine", lambda: "elsewhere")
        for number, job in enumerate(jobs):
            if number % 9:
                save_job(job.spec, job.folder)
            if number % 9 and number % 10 == 1 and number < 640:
                claims.take_free(job.folder, claims.Watch(), f"host-{number}")
                write_status(job.folder, Status(state=State.RUNNING, stage="train", iteration=1, total=9))
    found = benchmark.pedantic(overview, (tmp_path,), rounds=3)
    assert found.counts == {**dict.fromkeys(found.counts, 0), "done": 112, "running": 57, "free": 831}
    assert found.left.unknown == 0
