"""A clock that is set back, or far ahead, changes no result: nothing is decided or measured by it."""

from __future__ import annotations

import ast
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import adaptbench
from adaptbench.records.jobspec import State, Status, read_status, write_status
from adaptbench.storage import claims

_WALL_CLOCK = {
    "time.time",
    "time.time_ns",
    "datetime.now",
    "datetime.datetime.now",
    "datetime.today",
    "date.today",
}
_TIMES_OF_FILES = {"st_mtime", "st_mtime_ns", "st_ctime", "st_ctime_ns", "st_atime", "st_atime_ns"}
#: When a status was written, which nobody asks; whether a file in memory, or a decoded image, is still that on disk;
#: the order of stages, whose links have numbers for times; heartbeats, by the time of their file system (ours where
#: nothing can be written, and so nobody taken over from).
_KNOWN = {
    "records/jobspec.py": {"time.time"},
    "networks/start_weights.py": {"st_mtime_ns"},
    "data/generated_files.py": {"st_mtime_ns"},
    "data/image_identity.py": {"st_mtime_ns"},
    "records/curves.py": {"st_mtime_ns"},
    "storage/claims.py": {"st_mtime", "time.time"},
}


def test_who_asks_the_clock() -> None:
    """Durations are taken of the monotonic clock. Who needs another one says why it may jump."""
    package = Path(adaptbench.__file__).parent
    found = {str(file.relative_to(package)): set(_asked(file)) for file in package.rglob("*.py")}
    assert {file: asked for file, asked in found.items() if asked} == _KNOWN


def _asked(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            if ast.unparse(node) in _WALL_CLOCK:
                yield ast.unparse(node)
            elif node.attr in _TIMES_OF_FILES:
                yield node.attr


@pytest.mark.parametrize("now", [-1e9, 0.0, 1e11])
def test_a_job_stands_where_it_stands(now: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert claims.take_free(tmp_path, claims.Watch(), "") is not None
    write_status(tmp_path, Status(state=State.RUNNING, iteration=7))
    monkeypatch.setattr(time, "time", lambda: now)
    assert read_status(tmp_path).state is State.RUNNING
    write_status(tmp_path, Status(state=State.RUNNING, iteration=8))
    monkeypatch.undo()
    assert (read_status(tmp_path).state, read_status(tmp_path).iteration) == (State.RUNNING, 8)


@pytest.mark.parametrize("written", [0, 4_000_000_000])
def test_no_claim_is_too_old_or_too_new(written: int, tmp_path: Path) -> None:
    """On one machine it counts whether the holder is there."""
    with claims.briefly(tmp_path):
        os.utime(tmp_path / claims.FOLDER / "1", (written, written))
        assert claims.take_free(tmp_path, claims.Watch(), "") is None
    assert claims.take_free(tmp_path, claims.Watch(), "") is not None
