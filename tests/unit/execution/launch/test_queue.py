from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from adaptbench.execution.launch import queue
from adaptbench.execution.launch.queue import Queue
from adaptbench.planning.plan import Job
from adaptbench.records import cancelled
from adaptbench.records.jobspec import JobSpec, State, Status, write_status
from adaptbench.storage import claims

Jobs = Callable[..., list[Job]]


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """Jobs of a results folder that are in these states."""
    monkeypatch.setattr(queue, "_LOOK_SECONDS", 0.0)

    def made(*states: State) -> list[Job]:
        planned = []
        for number, state in enumerate(states):
            folder = tmp_path / "runs" / "board" / "method" / f"{number}-{number:08x}"
            write_status(folder, Status(state=state))
            planned.append(Job(cast("JobSpec", SimpleNamespace(also={})), folder, state))
        return planned

    return made


def _ended_elsewhere(job: Job, state: State) -> None:
    with claims.briefly(job.folder):
        write_status(job.folder, Status(state=state))


def test_jobs_come_in_turn_each_claimed(jobs: Jobs) -> None:
    planned = jobs(State.PLANNED, State.INTERRUPTED, State.FAILED)
    waiting = Queue(planned)
    begun = [waiting.begin() for _ in range(4)]
    assert [found and found[0] for found in begun] == [*planned, None]
    assert all(found[1].ours for found in begun if found)
    assert not waiting.is_open(stay=True)


def test_what_another_run_has_is_left_to_it(jobs: Jobs) -> None:
    first, second = jobs(State.PLANNED, State.PLANNED)
    waiting = Queue([first, second])
    with claims.briefly(first.folder):
        found = waiting.begin()
        assert found and found[0] is second
        assert waiting.begin() is None
        assert waiting.is_open(stay=True) and not waiting.is_open(stay=False)
    again = waiting.begin()
    assert again and again[0] is first, "it stopped without an end"


@pytest.mark.parametrize("state", [State.DONE, State.FAILED, State.TIMEOUT])
def test_what_another_run_has_ended_since_is_not_run_again(jobs: Jobs, state: State) -> None:
    (job,) = jobs(State.PLANNED)
    waiting = Queue([job])
    _ended_elsewhere(job, state)
    assert waiting.begin() is None
    assert waiting.shown(job) is not None or not waiting.is_open(stay=True)


def test_what_another_run_has_done_while_we_planned_is_done(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = jobs(State.PLANNED)
    _ended_elsewhere(job, State.DONE)
    waiting = Queue([job])
    monkeypatch.setattr(queue, "is_done", lambda job: True)
    assert waiting.begin() is None and not waiting.is_open(stay=True)


def test_a_job_comes_back_when_its_stage_is_free(jobs: Jobs, tmp_path: Path) -> None:
    (job,) = jobs(State.PLANNED)
    write_status(job.folder, Status(state=State.WAITING, waits_for="abc", reason="why"))
    waiting = Queue([job])
    with claims.briefly(tmp_path / "stages" / "abc"):
        assert waiting.begin() is None
        shown = waiting.shown(job)
        assert shown and (shown.state, shown.reason) == (State.WAITING, "why")
    assert waiting.begin()


@pytest.mark.parametrize("alone", [True, False])
def test_a_cancelled_job_is_not_begun_until_it_is_resumed(jobs: Jobs, tmp_path: Path, alone: bool) -> None:
    first, second = jobs(State.PLANNED, State.PLANNED)
    waiting, place = Queue([first, second]), first.folder if alone else tmp_path
    cancelled.cancel(place)
    found = waiting.begin()
    assert (found and found[0]) is (second if alone else None)
    assert waiting.begin() is None and not waiting.is_open(stay=True)
    shown = waiting.shown(first)
    assert shown and "cancel --resume" in shown.reason
    assert cancelled.resume(place) and not cancelled.resume(place)
    again = waiting.begin()
    assert again and again[0] is first


def test_a_job_whose_folder_cannot_be_written_fails_alone(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = jobs(State.PLANNED, State.PLANNED)
    waiting = Queue([first, second])
    (first.folder / claims.FOLDER).touch()  # no folder
    found = waiting.begin()
    assert found and found[0] is second
    shown = waiting.shown(first)
    assert shown and shown.state is State.FAILED and "Cannot write" in shown.reason


def test_what_another_run_has_is_shown_as_it_stands_though_nothing_is_begun_here(jobs: Jobs) -> None:
    first, second = jobs(State.PLANNED, State.PLANNED)
    waiting = Queue([first, second])
    with claims.briefly(first.folder):
        write_status(first.folder, Status(state=State.RUNNING, stage="source"))
        found = waiting.begin()
        assert found and found[0] is second
        write_status(first.folder, Status(state=State.RUNNING, stage="train"))
        shown = waiting.shown(first)
        assert shown and shown.stage == "train"
