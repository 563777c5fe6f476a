from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from adaptbench.jobspec import State, Status, read_status, write_status
from adaptbench.launch import local

GONE = 2**22 + 1  # above every process id


def _settled(folder: Path, status: Status, code: int, *, asked: bool = False, pid: int = GONE) -> Status:
    """The status after a process ended that wrote ``status`` last."""
    write_status(folder, status)
    process = cast("subprocess.Popen[bytes]", SimpleNamespace(pid=pid, returncode=code))
    local._settle(folder, process, asked)
    return read_status(folder)


RUNNING = Status(state=State.RUNNING, pid=GONE)


@pytest.mark.parametrize(
    ("before", "code", "asked", "after", "reason"),
    [
        (RUNNING, -9, False, State.FAILED, "killed by signal 9"),
        (RUNNING, -9, True, State.INTERRUPTED, "run again"),
        (RUNNING, 0, False, State.FAILED, "exit status 0"),
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
    """Ours waited for its lock and was stopped; the other's process is alive."""
    other = Status(state=State.RUNNING, stage="train", iteration=7, pid=os.getppid())
    found = _settled(tmp_path, other, -15, asked=True)
    assert (found.state, found.stage, found.iteration) == (State.RUNNING, "train", 7)
