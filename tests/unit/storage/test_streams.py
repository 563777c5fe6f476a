"""Standard streams: closed, full, or in an encoding without the characters that we print."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from forks import in_fork

from adaptbench.storage import streams


def test_closed_streams_are_opened_so_that_no_file_gets_their_number(tmp_path: Path) -> None:
    in_fork(_with_closed_streams, tmp_path / "file")


def _with_closed_streams(path: Path) -> None:
    os.closerange(0, 3)
    sys.stdin = sys.stdout = sys.stderr = None  # type: ignore[assignment]  # as Python starts then
    streams.prepare()
    with path.open("w") as file:
        assert file.fileno() > 2
        print("to standard output")
        print("to standard error", file=sys.stderr)
        os.write(1, b"as a library prints")
        assert sys.stdin.read() == ""
    assert path.read_text() == ""


def test_what_ascii_lacks_is_shown_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    streams.prepare()
    print("seed 0 \u00b7 \udcff", flush=True)
    assert raw.getvalue() == b"seed 0 \\xb7 \\udcff\n"


def test_a_log_without_room_loses_its_lines_and_nothing_else(tmp_path: Path) -> None:
    in_fork(_with_a_full_log, tmp_path / "log.txt")


def _with_a_full_log(log: Path) -> None:
    full, kept = os.open("/dev/full", os.O_WRONLY), os.open(log, os.O_CREAT | os.O_WRONLY)
    os.dup2(full, 1)
    os.dup2(kept, 2)
    streams.keep_talking()
    for _ in range(3):
        print("lost " * 10_000, flush=True)
    os.dup2(kept, 1)
    print("room again \u00b7")
    assert log.read_text(encoding="utf-8") == "room again \u00b7\n"
