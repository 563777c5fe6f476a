from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from adaptbench import signals
from adaptbench.execution.launch import local, preparing, queue
from adaptbench.execution.launch.time_limit import TimeLimit
from adaptbench.planning.plan import Job
from adaptbench.records import cancelled
from adaptbench.records.jobspec import JobSpec, State, Status, read_status, write_status
from adaptbench.storage import claims

GONE = 2**22 + 1  # above every process id


def _settled(
    folder: Path,
    status: Status,
    code: int,
    *,
    asked: bool = False,
    pid: int = GONE,
    ending: Status | None = None,
) -> Status:
    """The status after a process ended that wrote ``status`` last."""
    write_status(folder, status)
    process = cast("subprocess.Popen[bytes]", SimpleNamespace(pid=pid, returncode=code))
    local._settle(folder, process, asked, ending)
    return read_status(folder)


RUNNING = Status(state=State.RUNNING, pid=GONE)
OVERDUE = Status(state=State.TIMEOUT, reason=TimeLimit.parse("2h").reason)


@pytest.mark.parametrize(
    ("before", "code", "asked", "after", "reason"),
    [
        (RUNNING, -9, False, State.FAILED, "killed by signal 9"),
        (RUNNING, -9, True, State.INTERRUPTED, "run again"),
        (RUNNING, 0, False, State.FAILED, "(exit status 0); did the method call os._exit or sys.exit?"),
        (Status(state=State.PLANNED), -15, True, State.INTERRUPTED, "run again"),
        (Status(state=State.PLANNED), 1, False, State.FAILED, "did not start"),
        (Status(state=State.INTERRUPTED, reason="saved", pid=GONE), 130, True, State.INTERRUPTED, "saved"),
        (Status(state=State.FAILED, reason="bad data", pid=GONE), 1, False, State.FAILED, "bad data"),
        (Status(state=State.DONE, miou=1.0, pid=GONE), 0, False, State.DONE, ""),
    ],
)
def test_status_after_the_process_ended(
    tmp_path: Path, before: Status, code: int, asked: bool, after: State, reason: str
) -> None:
    found = _settled(tmp_path, before, code, asked=asked)
    assert found.state is after
    assert reason in found.reason


def test_job_of_another_run_is_left_alone(tmp_path: Path) -> None:
    """Ours lost it, and was stopped."""
    other = Status(state=State.RUNNING, stage="train", iteration=7, pid=os.getppid())
    with claims.briefly(tmp_path):
        found = _settled(tmp_path, other, -15, asked=True)
    assert (found.state, found.stage, found.iteration) == (State.RUNNING, "train", 7)


@pytest.mark.parametrize(
    ("before", "code", "after"),
    [
        (Status(state=State.INTERRUPTED, reason="saved", pid=GONE), 130, State.TIMEOUT),
        (RUNNING, -9, State.TIMEOUT),  # took too long to save
        (Status(state=State.PLANNED), -15, State.TIMEOUT),  # before it could listen
        (Status(state=State.DONE, miou=1.0, pid=GONE), 0, State.DONE),  # just in time
        (Status(state=State.FAILED, reason="bad data", pid=GONE), 1, State.FAILED),
    ],
)
def test_status_of_a_job_that_was_over_its_time(
    tmp_path: Path, before: Status, code: int, after: State
) -> None:
    found = _settled(tmp_path, before, code, ending=OVERDUE)
    assert found.state is after
    assert ("--timeout 2h" in found.reason) == (after is State.TIMEOUT)


def test_job_of_another_run_does_not_time_out(tmp_path: Path) -> None:
    other = Status(state=State.RUNNING, stage="train", iteration=7, pid=os.getppid())
    with claims.briefly(tmp_path):
        assert _settled(tmp_path, other, 130, ending=OVERDUE).state is State.RUNNING


#: What a job's process does, as a shell script in its folder.
SAVES_WHEN_ASKED = """
trap 'echo "{\\"state\\": \\"interrupted\\", \\"reason\\": \\"saved\\", \\"pid\\": $$}" > status; exit 130' TERM
echo "{\\"state\\": \\"running\\", \\"pid\\": $$}" > status
i=0; while [ $i -lt 1000 ]; do sleep 0.02; i=$((i + 1)); done
"""
DOES_NOT_LISTEN = "trap '' TERM" + SAVES_WHEN_ASKED.partition("TERM")[2]
IS_DONE = """echo "{\\"state\\": \\"done\\", \\"pid\\": $$}" > status"""


class Seen:
    """Shows nothing and remembers how many ran at once."""

    def __init__(self) -> None:
        self.most = 0

    def show(self, jobs: Sequence[local.Progress]) -> None:
        self.most = max(self.most, sum(progress.status.state is State.RUNNING for progress in jobs))


Scripted = Callable[..., list[Job]]


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """Jobs whose processes are shell scripts, each writing which GPU it was given."""

    def start(job: Job, gpu: str | None, turn: int) -> subprocess.Popen[bytes]:
        script = f"echo {gpu} > gpu\n{(job.folder / 'script').read_text()}"
        return subprocess.Popen(["sh", "-c", script], cwd=job.folder, start_new_session=True)

    def jobs(*scripts: str) -> list[Job]:
        made = []
        for number, script in enumerate(scripts):
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / "script").write_text(script)
            write_status(folder, Status(state=State.PLANNED))
            made.append(Job(cast("JobSpec", SimpleNamespace(devices=1)), folder, State.PLANNED))
        return made

    monkeypatch.setattr(local, "_start", start)
    monkeypatch.setattr(local, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(queue, "_LOOK_SECONDS", 0.01)
    return jobs


def _states(ended: Sequence[local.Progress]) -> list[State]:
    return [progress.status.state for progress in ended]


def test_a_job_over_its_time_is_stopped_and_the_others_go_on(scripted: Scripted) -> None:
    ended = local.run_jobs(
        scripted(SAVES_WHEN_ASKED, IS_DONE, IS_DONE), 1, Seen(), limit=TimeLimit.parse("1.5s")
    )
    assert _states(ended) == [State.TIMEOUT, State.DONE, State.DONE]
    assert "--timeout 1.5s" in ended[0].status.reason


def test_every_job_has_a_time_of_its_own(scripted: Scripted) -> None:
    took_a_while = f"sleep 0.5\n{IS_DONE}"
    ended = local.run_jobs(scripted(*[took_a_while] * 5), 1, Seen(), limit=TimeLimit.parse("2s"))
    assert _states(ended) == [State.DONE] * 5


def test_a_job_that_does_not_stop_is_killed(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_GRACE_SECONDS", 0.2)
    before = time.monotonic()
    ended = local.run_jobs(scripted(DOES_NOT_LISTEN), 1, Seen(), limit=TimeLimit.parse("0.2s"))
    assert _states(ended) == [State.TIMEOUT]
    assert time.monotonic() - before < 30


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_lets_jobs_save_and_says_what_is_done(scripted: Scripted, number: signal.Signals) -> None:
    jobs = scripted(IS_DONE, SAVES_WHEN_ASKED, IS_DONE)
    threading.Timer(1, os.kill, (os.getpid(), number)).start()
    with pytest.raises(signals.Stopped, match="1 of 3 jobs are done; the same command goes on") as stopped:
        local.run_jobs(jobs, 1, Seen())
    assert signals.exit_status(stopped.value) == 128 + number
    assert [read_status(job.folder).state for job in jobs] == [State.DONE, State.INTERRUPTED, State.PLANNED]


def test_without_a_limit_there_is_none(scripted: Scripted) -> None:
    assert _states(local.run_jobs(scripted(f"sleep 0.3\n{IS_DONE}"), 1, Seen())) == [State.DONE]


def test_no_more_jobs_than_asked_for_run_at_once_each_on_its_gpu(scripted: Scripted) -> None:
    jobs, seen = scripted(*[SAVES_WHEN_ASKED] * 4), Seen()
    local.run_jobs(jobs, 2, seen, ("5", "3"), TimeLimit.parse("1.5s"))
    assert seen.most == 2
    given = [(job.folder / "gpu").read_text().strip() for job in jobs]
    assert given[:2] == ["5", "3"]
    assert sorted(given[2:]) == ["3", "5"], "each where one has ended"


def test_a_process_is_given_its_threads_and_its_gpu_before_torch_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: dict[str, Any] = {}
    monkeypatch.setattr(subprocess, "Popen", lambda command, **how: started.update(how, command=command))
    job = Job(cast("JobSpec", SimpleNamespace(threads=3, devices=1)), tmp_path, State.PLANNED)
    local._start(job, "5", 7)
    given = {name: started["env"][name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    assert given == {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3"}
    assert started["env"]["CUDA_VISIBLE_DEVICES"] == "5"
    assert started["command"][-3:] == [str(tmp_path), str(os.getpid()), "7"]
    assert started["start_new_session"], "Ctrl-C reaches the command alone"


def _before(state: State, folder: Path) -> Job:
    folder.mkdir()
    write_status(folder, Status(state=state, reason="why", pid=GONE))
    return Job(cast("JobSpec", SimpleNamespace(model_dump=lambda **_: {})), folder, state, "why")


def test_only_what_was_begun_and_not_finished_is_run_again(tmp_path: Path) -> None:
    jobs = [_before(state, tmp_path / state) for state in State]
    chosen = {job.state for job in preparing.not_finished(jobs)}
    assert chosen == {State.FAILED, State.INTERRUPTED, State.TIMEOUT}


def test_a_job_whose_turn_never_came_stays_failed(tmp_path: Path) -> None:
    failed, retried = (_before(State.FAILED, tmp_path / name) for name in ("failed", "retried"))
    with preparing.prepared([failed, retried]):
        assert read_status(failed.folder).state is State.PLANNED
        write_status(retried.folder, Status(state=State.DONE, pid=GONE))
    after = read_status(failed.folder)
    assert (after.state, after.reason) == (State.FAILED, "why")
    assert read_status(retried.folder).state is State.DONE


def test_forced_jobs_are_as_new(tmp_path: Path) -> None:
    assert preparing.anew(_before(State.DONE, tmp_path / "done")).state is State.PLANNED
    assert preparing.anew(_before(State.SKIPPED, tmp_path / "skipped")).state is State.SKIPPED


def test_nothing_is_written_to_the_folder_of_a_job_that_another_run_works_on(tmp_path: Path) -> None:
    """It sweeps what it takes for left behind, which would be what is just written."""
    job = _before(State.FAILED, tmp_path / "failed")
    there = (job.folder / "status").read_text()
    with claims.briefly(job.folder), preparing.prepared([job]):
        assert (job.folder / "status").read_text() == there
        assert not (job.folder / "job.json").exists()


def test_a_job_that_cannot_be_started_takes_no_other_with_it(scripted: Scripted) -> None:
    jobs = scripted(IS_DONE, IS_DONE, IS_DONE)
    (jobs[1].folder / "script").unlink()
    ended = local.run_jobs(jobs, 1, Seen())
    assert _states(ended) == [State.DONE, State.FAILED, State.DONE]
    reason = ended[1].status.reason
    assert reason.startswith("It cannot be started: ") and "No such file or directory. Was it moved" in reason


def test_a_job_that_ended_between_its_record_and_its_status_is_done(tmp_path: Path) -> None:
    (tmp_path / "record.json").touch()
    assert _settled(tmp_path, RUNNING, -9).state is State.DONE


def test_a_job_that_needs_the_stage_of_another_comes_back(scripted: Scripted) -> None:
    waits = IS_DONE.replace("done", "waiting")
    needs = f"[ -e waited ] || {{ touch waited; {waits}; exit 75; }}\n{IS_DONE}"
    jobs = scripted(needs, IS_DONE)
    assert _states(local.run_jobs(jobs, 1, Seen())) == [State.DONE, State.DONE]
    assert (jobs[0].folder / "waited").exists()


def test_a_job_that_is_cancelled_saves_and_the_others_go_on(scripted: Scripted) -> None:
    jobs = scripted(SAVES_WHEN_ASKED, IS_DONE)
    threading.Timer(0.5, cancelled.cancel, [jobs[0].folder]).start()
    ended = local.run_jobs(jobs, 1, Seen())
    assert _states(ended) == [State.INTERRUPTED, State.DONE]
    assert ended[0].status.reason == cancelled.REASON


def test_who_does_not_stay_leaves_what_others_run(scripted: Scripted) -> None:
    jobs = scripted(IS_DONE, IS_DONE)
    with claims.briefly(jobs[0].folder):
        ended = local.run_jobs(jobs, 1, Seen(), stay=False)
    assert _states(ended) == [State.PLANNED, State.DONE]


def test_what_another_run_takes_over_is_waited_for(scripted: Scripted) -> None:
    """Ours was given up wrongly, and ended itself."""
    jobs = scripted(f"[ -e lost ] && {{ {IS_DONE}; exit; }}; touch lost; sleep 0.3; exit 130")
    took: list[claims.Claim | None] = []

    def take_over() -> None:
        turn = claims.last_turn(jobs[0].folder)
        took.append(claims.take(jobs[0].folder, turn, "other"))
        time.sleep(0.6)
        if took[0]:
            took[0].release()

    threading.Timer(0.1, take_over).start()
    assert _states(local.run_jobs(jobs, 1, Seen())) == [State.DONE]
    assert took and took[0]
