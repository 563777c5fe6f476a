"""What a job's log and status say while it works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adaptbench.execution.stages import progress
from adaptbench.execution.stages.progress import Progress, say
from adaptbench.records.jobspec import State, read_status
from adaptbench.storage.claims import briefly

Clock = list[float]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The seconds of the monotonic clock, to be set."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was said, without the times of day."""
    found = capsys.readouterr().out.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in found)
    return [line[20:] for line in found]


def test_a_line_has_the_local_time(capsys: pytest.CaptureFixture[str]) -> None:
    say("something")
    assert lines(capsys) == ["something"]


def test_a_training_says_a_line_a_minute(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(tmp_path, "train") as training:
        for iteration in range(1, 13):
            clock[0] += 13.0
            training.report(iteration, 12, 1.5, {"loss_seg": 1.0, "mix.loss_seg": 0.5})
    losses = "loss 1.5000 (loss_seg 1.0000, mix.loss_seg 0.5000)"
    assert lines(capsys) == [
        "train: begins",
        f"train: 5 of 12, {losses}, 65.0 s",
        f"train: 10 of 12, {losses}, 130.0 s",
        f"train: done, 12 of 12, {losses}, 156.0 s",
    ]


def test_one_loss_is_named_once(tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(tmp_path, "train") as training:
        training.report(1, 1, 1.5, {"loss_seg": 1.5})
    assert lines(capsys)[-1] == "train: done, 1 of 1, loss 1.5000, 0.0 s"


def test_what_has_no_losses(tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Labelling reports before every image."""
    with Progress(tmp_path, "labels") as labelling:
        for number in range(2):
            labelling.report(number, 2)
            clock[0] += 61.0
    assert lines(capsys) == ["labels: begins", "labels: 1 of 2, 61.0 s", "labels: done, 2 of 2, 122.0 s"]


def test_work_that_seldom_reports_says_lines_when_it_asks_whether_to_stop(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(tmp_path, "choose") as choice:
        choice.report(3, 20)
        stop = choice.while_asking(lambda: clock[0] > 200.0)
        for now in (150.0, 161.0, 170.0, 221.0):
            clock[0] = now
            assert stop() == (now > 200.0)
    assert lines(capsys)[1:3] == ["choose: 3 of 20, 61.0 s", "choose: 3 of 20, 121.0 s"]


def test_what_ends_with_an_error_is_not_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="broken"), Progress(tmp_path, "train"):
        raise ValueError("broken")
    assert lines(capsys) == ["train: begins"]


def test_the_status_is_written_twice_a_second_at_most(tmp_path: Path, clock: Clock) -> None:
    with briefly(tmp_path), Progress(tmp_path, "train", job=1) as training:
        training.report(1, 9, 1.5, {"loss_seg": 1.5})
        clock[0] += 0.4
        training.report(2, 9, 1.4, {"loss_seg": 1.4})
        status = read_status(tmp_path)
        assert (status.state, status.stage, status.iteration, status.total) == (State.RUNNING, "train", 1, 9)
        assert (status.loss, status.pid) == (1.5, 1)
        clock[0] += 0.2
        training.report(3, 9, 1.3, {"loss_seg": 1.3})
        assert read_status(tmp_path).iteration == 3
