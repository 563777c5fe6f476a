from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from adaptbench.contracts.method import Stage
from adaptbench.errors import FirewallError, InterruptedTrainingError, RunStateError
from adaptbench.execution.stages import run
from adaptbench.execution.stages.planned import PlannedStage
from adaptbench.execution.stages.sealing import Outside

Train = Callable[..., None]
STAGE = SimpleNamespace(trains=True, settings=SimpleNamespace(batch_size=2))


def _place(folder: Path) -> Any:
    """What is asked of the context of a job."""
    return SimpleNamespace(folder=folder, device=torch.device("cpu"), spec=SimpleNamespace(devices=1))


def _train(
    child: Train, folder: Path, monkeypatch: pytest.MonkeyPatch, *, done: bool = False, stop: bool = False
) -> None:
    """What happens when the process that trains behaves like ``child``."""
    monkeypatch.setattr(run.child, "main", child)
    place = _place(folder)
    entry = cast("Any", SimpleNamespace(trained=done, stage=STAGE))
    run._train_in_child(place, 0, entry, lambda: stop)


@pytest.mark.parametrize("status", [0, 3, 130])
def test_ending_without_a_result_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with pytest.raises(
        RunStateError, match=rf"without finishing \(exit status {status}\); did the method call os\._exit"
    ):
        _train(lambda *_: os._exit(status), tmp_path, monkeypatch)


def test_a_method_that_exits_is_asked_about_it() -> None:
    assert "exit status 0); did the method call os._exit or sys.exit" in run.child._reason(SystemExit())
    assert "exit status 3" in run.child._reason(SystemExit(3))


def test_killed_by_a_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunStateError, match="killed by signal 9"):
        _train(lambda *_: os.kill(os.getpid(), signal.SIGKILL), tmp_path, monkeypatch)


def _trained(folder: Path) -> Any:
    for name in ("result.json", "checkpoint.safetensors"):
        (folder / name).touch()
    return SimpleNamespace(trained=True, folder=folder, stage=STAGE)


def test_what_was_refused_fails_a_training_that_hides_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def child(folder: Path, index: int, parent: int, outside: Outside, *_: object) -> None:
        os.write(outside.line.fileno(), b"A method tried to open x\n")

    monkeypatch.setattr(run.child, "main", child)
    place = _place(tmp_path)
    with pytest.raises(FirewallError, match="tried to open x"):
        run._train_in_child(place, 0, _trained(tmp_path), lambda: False)
    assert not list(tmp_path.iterdir()), "it could go on from there, or count as trained"


def test_temporary_files_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def child(folder: Path, index: int, parent: int, outside: Outside, *_: object) -> None:
        (outside.scratch / "left").touch()
        (folder / "where").write_text(str(outside.scratch))

    _train(child, tmp_path, monkeypatch, done=True)
    assert not Path((tmp_path / "where").read_text()).exists()


def test_a_result_is_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _train(lambda *_: None, tmp_path, monkeypatch, done=True)


def test_stop_reaches_a_training_that_does_not_listen_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def child(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(60)

    started = time.monotonic()
    with pytest.raises(InterruptedTrainingError):
        _train(child, tmp_path, monkeypatch, stop=True)
    assert time.monotonic() - started < 10


def test_target_supervision_is_marked_even_without_the_tag() -> None:
    method = cast("Any", SimpleNamespace(supervision="target", tags=()))
    first = PlannedStage(Stage("a", method, cast("Any", None)), "", Path(), None)
    blind = cast("Any", SimpleNamespace(supervision="source", tags=()))
    assert first.oracle
    assert PlannedStage(Stage("b", blind, cast("Any", None)), "", Path(), first).oracle
