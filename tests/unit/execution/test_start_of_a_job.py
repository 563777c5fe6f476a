"""``python -m adaptbench.execution``: what it is given, and how it leaves the collector of garbage."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest
from forks import in_fork

from adaptbench import signals
from adaptbench.execution import __main__ as start
from adaptbench.execution import job


def _started(*arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit status, and what the job and the signals were told."""
    told: dict[str, Any] = {}

    def main(folder: Path, turn: int | None) -> int:
        told.update(folder=folder, turn=turn, collects=gc.isenabled(), frozen=gc.get_freeze_count() > 0)
        return 75

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "main", main)
        patch.setattr(signals, "end_with_parent", lambda parent: told.update(parent=parent))
        return start._main(*arguments), told


def _by_a_launcher(folder: Path) -> None:
    status, told = _started(str(folder), "12", "3")
    assert status == 75
    assert told == {"folder": folder, "turn": 3, "parent": 12, "collects": True, "frozen": True}
    assert gc.get_freeze_count() == 0


def _by_hand(folder: Path) -> None:
    os.chdir(folder)
    assert _started(".") == (75, {"folder": folder, "turn": None, "collects": True, "frozen": True})


@pytest.mark.parametrize("way", [_by_a_launcher, _by_hand])
def test_a_job_is_told_its_folder_and_its_turn(way: Any, tmp_path: Path) -> None:
    in_fork(way, tmp_path.resolve())
