"""Two runs on one results folder at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from adaptbench.records.jobspec import State, read_status

from .bench import SETTINGS, Bench, Ended, ended, same_bytes, without_circumstances


@pytest.fixture(scope="module")
def together(reference: Bench, bench: Callable[[str], Bench]) -> tuple[Bench, list[Ended], list[str]]:
    """Two commands for one dacs job, and what was wrong with its status file when it was polled."""
    shared = replace(bench("together"), settings=SETTINGS)
    problems: list[str] = []
    over = threading.Event()

    def poll() -> None:
        while not over.wait(0.002):
            for path in (shared.out / "runs").glob("minicity/tiny/dacs/*"):
                status = read_status(path)
                if status.state is State.FAILED:
                    problems.append(status.reason)

    started = [shared.start("dacs") for _ in range(2)]
    poller = threading.Thread(target=poll)
    poller.start()
    answers = [ended(process) for process in started]
    over.set()
    poller.join()
    return shared, answers, problems


def test_both_succeed(together: tuple[Bench, list[Ended], list[str]]) -> None:
    shared, answers, _ = together
    assert [answer.code for answer in answers] == [0, 0], answers
    assert shared.status("dacs")["state"] == "done"


def test_job_is_trained_once(together: tuple[Bench, list[Ended], list[str]], reference: Bench) -> None:
    shared = together[0]
    assert len(list((shared.out / "stages").iterdir())) == 1
    assert same_bytes(shared.folder("dacs"), reference.folder("dacs"), "metrics.jsonl")
    log = (shared.folder("dacs") / "log.txt").read_text()
    assert log.count("train: begins") == log.count("train: done") == 1
    assert "Traceback" not in log


def test_two_trainings_of_one_job_give_equal_bits(
    together: tuple[Bench, list[Ended], list[str]], reference: Bench
) -> None:
    """Neither was interrupted; the reference shared the machine with another job (--jobs 2)."""
    shared = together[0]
    assert same_bytes(shared.stage("dacs"), reference.stage("dacs"), "weights.safetensors")
    mine, theirs = shared.record("dacs"), reference.record("dacs")
    assert without_circumstances(mine) == without_circumstances(theirs)


def test_status_is_readable_at_any_moment(together: tuple[Bench, list[Ended], list[str]]) -> None:
    assert together[2] == []
