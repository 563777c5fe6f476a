"""A file is the old one or the whole new one, and nothing is left beside it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adaptbench.errors import RunStateError
from adaptbench.storage.atomic import append_text, replacing, sweep, write_note, write_text


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_text(path, "old")
    write_text(path, "new ü")
    assert path.read_text(encoding="utf-8") == "new ü"
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(ValueError, match="halfway"), replacing(path) as temporary:
        temporary.write_text("ne")
        assert path.read_text() == "old"
        raise ValueError("halfway")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("where", ["pathlib.Path.write_bytes", "os.fsync", "pathlib.Path.replace"])
def test_a_full_disk(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(where, full)
    with pytest.raises(
        RunStateError,
        match=rf"Cannot write {path}: No space left on device \(3 bytes are .*--out",
    ):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RunStateError, match=r"Cannot write .*Not a directory.*--out"):
        write_text(tmp_path / "file" / "folder" / "x", "text")


def test_half_written_files_are_swept(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    unfinished = (".checkpoint.abc.tmp", "labels/.a.png.abc.tmp", ".tmpDT4ueS")  # the last one by safetensors
    for name in ("checkpoint", ".lock", *unfinished):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [".lock", "checkpoint"]


def test_a_file_that_really_has_no_room() -> None:
    with pytest.raises(
        RunStateError, match=r"Cannot write /dev/full: No space left on device \(6 bytes are needed"
    ):
        append_text(Path("/dev/full"), "a line")


def test_what_a_disk_has_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 << 19))
    with (
        pytest.raises(RunStateError, match=r"\(2,048\.0 MiB are needed, 1\.5 MiB are free\)"),
        _full(tmp_path, 2 << 30),
    ):
        pass
    with pytest.raises(RunStateError, match=r"device \(1\.5 MiB are free\)"), _full(tmp_path, None):
        pass
    assert not list(tmp_path.iterdir())


@contextmanager
def _full(folder: Path, size: int | None) -> Iterator[None]:
    with replacing(folder / "file", size):
        yield
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "text", ["short", "as long as the old one was", "longer than the old one was, by a bit"]
)
def test_a_note_takes_the_place_of_the_old_one_where_there_is_no_other(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "status"
    write_note(path, "as long as the old one was")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "touch", full)
    write_note(path, text)
    assert path.read_text().rstrip() == text
    with pytest.raises(RunStateError, match="No space left"):
        write_note(tmp_path / "new", text)


def test_the_longest_name_that_there_can_be(tmp_path: Path) -> None:
    for name in ("x" * 255, "\u00e4" * 127):
        write_text(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0, 0o666)])
def test_files_are_for_whom_the_umask_leaves_them(mask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode
