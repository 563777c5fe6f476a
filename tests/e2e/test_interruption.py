"""A training that is stopped and killed again and again ends with the bits of one that is not."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from forks import Fork

from .bench import (
    ITERATIONS,
    SETTINGS,
    Bench,
    Ended,
    ended,
    iteration,
    read_json,
    same_bytes,
    wait_until,
    weights,
    without_circumstances,
)


@dataclass
class History:
    """What was seen while one job was started four times.

    Attributes:
        bench: where.
        stopped: how the command ended after Ctrl-C.
        status: the job's status after Ctrl-C.
        temporary: half-written files after Ctrl-C.
        iterations: iterations in the checkpoint after each start.
        finished: how the last command ended.
    """

    bench: Bench
    stopped: Ended = field(default_factory=lambda: Ended(0, ""))
    status: dict[str, Any] = field(default_factory=dict)
    temporary: list[str] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    finished: Ended = field(default_factory=lambda: Ended(1, ""))


@pytest.fixture(scope="module")
def history(reference: Bench, bench: Callable[[str], Bench]) -> History:
    """One dacs job: Ctrl-C, then everything killed, then only run_all.py killed, then left to finish."""
    seen = History(replace(bench("interrupted"), settings=SETTINGS))
    _press_ctrl_c(seen)
    for kill in (_kill_everything, _kill_only_the_command):
        process = seen.bench.start("dacs")
        _wait_for_progress(seen)
        kill(process, seen.bench)
        process.wait()
        wait_until(lambda: not seen.bench.processes(), "the end of the job")
        seen.iterations.append(iteration(seen.bench.out))
    (seen.bench.stage("dacs") / ".checkpoint.safetensors.x.tmp").write_text("cut off by a kill")
    seen.finished = seen.bench.run("dacs")
    return seen


def _press_ctrl_c(seen: History) -> None:
    process = seen.bench.start("dacs")
    _wait_for_progress(seen)
    process.send_signal(signal.SIGINT)
    seen.stopped = ended(process)
    seen.status = seen.bench.status("dacs")
    seen.temporary = [path.name for path in seen.bench.out.rglob("*.tmp")]
    seen.iterations.append(iteration(seen.bench.out))


def _wait_for_progress(seen: History) -> None:
    before = seen.iterations[-1] if seen.iterations else 0
    wait_until(lambda: iteration(seen.bench.out) > before, "a checkpoint")


def _kill_everything(process: Fork, bench: Bench) -> None:
    for pid in (process.pid, *bench.processes()):
        os.kill(pid, signal.SIGKILL)


def _kill_only_the_command(process: Fork, bench: Bench) -> None:
    assert len(bench.processes()) == 2, "the job and its training"
    process.kill()


def test_ctrl_c_stops_cleanly(history: History) -> None:
    assert history.stopped.code not in (0, -signal.SIGINT), history.stopped.output
    assert history.status["state"] == "interrupted"
    assert "run again" in history.status["reason"]
    assert "Traceback" not in history.stopped.output
    assert history.temporary == []


def test_every_start_went_on_from_the_last(history: History) -> None:
    assert history.iterations == sorted(set(history.iterations))
    assert history.iterations[0] > 0 and history.iterations[-1] < ITERATIONS


def test_weights_are_those_of_an_uninterrupted_training(history: History, reference: Bench) -> None:
    assert history.finished.code == 0, history.finished.output
    stage, expected = history.bench.stage("dacs"), reference.stage("dacs")
    assert stage.name == expected.name
    torch.testing.assert_close(weights(stage), weights(expected), rtol=0, atol=0)
    assert same_bytes(stage, expected, "weights.safetensors")


def test_record_and_metrics_are_those_of_an_uninterrupted_training(
    history: History, reference: Bench
) -> None:
    mine, theirs = history.bench.record("dacs"), reference.record("dacs")
    assert without_circumstances(mine) == without_circumstances(theirs)
    for folder in (Bench.folder, Bench.stage):
        assert same_bytes(folder(history.bench, "dacs"), folder(reference, "dacs"), "metrics.jsonl")


def test_nothing_half_written_is_left(history: History) -> None:
    assert not list(history.bench.stage("dacs").glob(".*.tmp"))
    assert not (history.bench.stage("dacs") / "checkpoint.safetensors").exists()


def test_training_time_adds_up(history: History) -> None:
    assert read_json(history.bench.stage("dacs") / "result.json")["seconds"] > 0
