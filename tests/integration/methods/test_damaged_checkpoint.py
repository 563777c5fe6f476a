"""A training whose checkpoint was damaged starts again, says so, and ends with the same bits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from tiny_training import Stream, build

from adaptbench.errors import InterruptedTrainingError, RunStateError
from adaptbench.training import checkpoint
from adaptbench.training.loop import TrainingLoop
from methods.source_only import SourceOnly

LENGTH = 2
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[: len(data) // 2],
    "one changed byte": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "one changed byte of the header": lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
}


def loop(folder: Path, stop_at: int = LENGTH + 1) -> TrainingLoop:
    """A training that saves after every iteration, asked to stop after so many."""
    folder.mkdir(exist_ok=True)
    made = TrainingLoop(
        build(SourceOnly, crop=64),
        cast("Any", Stream(SourceOnly, LENGTH)),
        folder,
        device=torch.device("cpu"),
        workers=0,
        checkpoint_every=1,
        log_every=1,
        should_stop=lambda: made.iter >= stop_at,
    )
    return made


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What a training ends with that nobody stopped, and its metrics."""
    return _ended(loop(tmp_path_factory.mktemp("untouched")))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a training that was stopped after the first iteration."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(InterruptedTrainingError):
        loop(folder, stop_at=1).run()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _ended(training: TrainingLoop) -> tuple[str, str]:
    training.run()
    return checkpoint.digest(training.model_state()), (Path(training.work_dir) / "metrics.jsonl").read_text()


@pytest.mark.parametrize("damage", [None, *DAMAGES])
def test_same_bits(
    damage: str | None,
    stopped: dict[str, bytes],
    untouched: tuple[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, content in stopped.items():
        (tmp_path / name).write_bytes(content)
    if damage is not None:
        kept = tmp_path / "checkpoint.safetensors"
        kept.write_bytes(DAMAGES[damage](kept.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert _ended(loop(tmp_path)) == untouched
    assert ("Starts again from the beginning" in caplog.text) == (damage is not None)


def test_one_that_cannot_be_read_is_not_written_over(
    stopped: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(stopped["checkpoint.safetensors"])

    def unreadable(*_: Any, **__: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(checkpoint, "safe_open", unreadable)
    with pytest.raises(RunStateError, match="Input/output error"):
        loop(tmp_path).run()
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == stopped["checkpoint.safetensors"]
