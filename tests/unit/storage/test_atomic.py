"""A file is the old one or the whole new one, and nothing is left beside it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from adaptbench.errors import RunStateError
from adaptbench.storage.atomic import replacing, sweep, write_text


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


@pytest.mark.parametrize("where", ["pathlib.Path.write_text", "os.fsync", "pathlib.Path.replace"])
def test_a_full_disk(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(where, full)
    with pytest.raises(RunStateError, match=rf"Cannot write {path}: No space left on device.*--out"):
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
