"""A file is the old one or the whole new one, and nothing is left beside it."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adaptbench.errors import RunStateError
from adaptbench.storage.atomic import (
    append_text,
    cannot_write,
    folder_beside,
    replacing,
    sweep,
    sweep_abandoned,
    write_note,
    write_text,
)


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


def test_what_a_kill_left_is_swept_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / ".a.json.0123456789ab.tmp").write_text("half")
    (tmp_path / ".page.0123456789ab.tmp").mkdir()
    (tmp_path / ".page.0123456789ab.tmp" / "index.html").write_text("half")
    with replacing(tmp_path / "board.md") as file, folder_beside(tmp_path / "page") as folder:
        sweep_abandoned(tmp_path)
        file.write_text("whole")
        assert folder.is_dir()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["board.md"]
    assert not list(tmp_path.glob(".page*"))
    sweep_abandoned(tmp_path / "nothing")


def test_sweeping_between_a_file_and_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes takes another name, whether the file is gone or about to be."""
    touch, handles, swept = Path.touch, [], iter((True, False))

    def swept_at_once(path: Path, exist_ok: bool) -> None:
        touch(path, exist_ok=exist_ok)
        for all_of_it in swept:
            if all_of_it:
                sweep_abandoned(tmp_path)
            else:
                handles.append(os.open(path, os.O_RDWR))
                fcntl.flock(handles[-1], fcntl.LOCK_EX)
            return

    monkeypatch.setattr(Path, "touch", swept_at_once)
    write_text(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"
    assert len(list(tmp_path.iterdir())) == 2  # and that which is about to be
    os.close(handles[0])


def test_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    (tmp_path / ".old.0123456789ab.tmp").touch()
    monkeypatch.setattr(fcntl, "flock", unknown)
    write_text(tmp_path / "file", "text")
    sweep_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".old.0123456789ab.tmp", "file"]


def test_an_error_of_a_file_that_is_read_is_not_that_of_what_is_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"), replacing(tmp_path / "folder" / "file"):
        (tmp_path / "gone" / "away").read_bytes()
    assert not list((tmp_path / "folder").iterdir())


@pytest.mark.parametrize(
    ("number", "way_out"),
    [
        (errno.EMFILE, "Allow more open files, as with ulimit -n 4096, or run with fewer --jobs."),
        (errno.EFBIG, "Allow larger files, as with ulimit -f unlimited, or choose another folder with --to."),
        (
            errno.EIO,
            "The disk, or the way to it, fails: look into the system's log, and run again when it is mended.",
        ),
        (errno.EROFS, "Choose another folder with --to."),
    ],
)
def test_the_way_out_is_one(number: int, way_out: str, tmp_path: Path) -> None:
    said = str(cannot_write(tmp_path / "file", OSError(number, os.strerror(number)), flag="--to"))
    assert said == f"Cannot write {tmp_path}/file: {os.strerror(number)}. {way_out}"
