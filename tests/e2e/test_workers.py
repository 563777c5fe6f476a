"""A sample of the campaign against workers, or all of it:

pytest tests/e2e/test_workers.py -s --worker-kills 30       8 workers, 60 short jobs
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from forks import Fork, fork_jobs

from adaptbench.cli import main
from adaptbench.planning.overview import overview
from adaptbench.storage import claims

from .bench import SETTINGS, Bench, Ended, ended, iteration, same_bytes, wait_until, without_circumstances
from .workers import Campaign


def test_nothing_is_lost_or_done_twice(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    kills, seed = (int(pytestconfig.getoption(name, 0)) for name in ("worker_kills", "kill_seed"))
    if kills:
        campaign = Campaign(tmp_path, workers=8, jobs=60, part_seconds=0.3, seed=seed)
    else:
        campaign = Campaign(tmp_path, workers=3, jobs=10, part_seconds=0.05)
    campaign.run(kills or 4)
    print(campaign.table())
    assert campaign.wrong() == []


@dataclass(frozen=True)
class Killed:
    """Two workers on machines of their own; the first, which trained, was killed."""

    bench: Bench
    before: int
    waited: list[str]
    second: Ended


@pytest.fixture(scope="module")
def killed(reference: Bench, bench: Callable[[str], Bench]) -> Killed:
    made = replace(bench("workers"), plugins=reference.plugins, settings=SETTINGS[:1])
    first, second = (_worker(made, name) for name in ("one", "two"))
    wait_until(
        lambda: _stand(made, "waiting") or first.poll() or second.poll(), "a job that waits for another"
    )
    waited = _stand(made, "waiting")
    wait_until(lambda: iteration(made.out) or first.poll() or second.poll(), "a checkpoint")
    trains = next(process for process in (first, second) if _children(process))
    other = second if trains is first else first
    for pid in (trains.pid, *_children(trains)):
        os.kill(pid, signal.SIGKILL)
    before = iteration(made.out)
    return Killed(made, before, waited, ended(other))


def _worker(made: Bench, machine: str) -> Fork:
    """A worker that cannot see the processes of the others."""
    words = ["work", "--jobs", "1", *made.arguments(("source_only", "after_source"), ())]

    def work() -> int:
        os.environ.update(made.variables())
        with pytest.MonkeyPatch.context() as patch:
            fork_jobs(patch)
            patch.setattr(claims, "machine", lambda: machine)
            patch.setattr(claims, "BEAT_SECONDS", 0.2)
            patch.setattr(claims, "LEASE_SECONDS", 3.0)
            return main(words)

    made.out.parent.mkdir(parents=True, exist_ok=True)
    return Fork(work, made.out.with_name(f"{machine}.txt"))


def _stand(made: Bench, standing: str) -> list[str]:
    return [job.method for job in overview(made.out).jobs if job.status.state == standing]


def _children(process: Fork) -> list[int]:
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(word) for word in text.split()]


def test_one_trains_what_both_need(killed: Killed) -> None:
    assert killed.waited


def test_the_other_goes_on_where_the_first_was_killed(killed: Killed, reference: Bench) -> None:
    assert killed.before > 0
    assert killed.second.code == 0, killed.second.output
    for method in ("source_only", "after_source"):
        assert killed.bench.status(method)["state"] == "done"
        mine, theirs = killed.bench.record(method), reference.record(method)
        assert without_circumstances(mine) == without_circumstances(theirs)
    stage, expected = killed.bench.stage("source_only"), reference.stage("source_only")
    assert same_bytes(stage, expected, "weights.safetensors")


def test_who_was_killed_is_among_the_workers_no_more(killed: Killed) -> None:
    """Who comes next forgets it; while its heartbeat is young, nobody can tell."""
    assert all(worker.jobs == [] for worker in overview(killed.bench.out).workers)
