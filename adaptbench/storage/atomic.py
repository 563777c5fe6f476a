"""Atomic writes: a file is either the old one or the whole new one."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from adaptbench.errors import ReadOnlyError, RunStateError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
#: Of a file's name so much stands in that of its temporary file, as file systems know names of up to 255 bytes.
_NAME_BYTES = 200


@contextlib.contextmanager
def replacing(path: Path, size: int | None = None) -> Iterator[Path]:
    """Gives a temporary path beside ``path`` that replaces it when the block ends without error.

    Args:
        path: gets the permissions that the user's umask leaves.
        size: of the new content, to be named where there is no room for it. Units: bytes.

    Raises:
        RunStateError: the folder cannot be written, or the disk is full.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _new_beside(path)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        _remove(temporary)  # which counts as used, else
        raise cannot_write(path, error, size) from error
    finally:
        _remove(temporary)


def cannot_write(path: Path, error: OSError, size: int | None = None) -> RunStateError:
    """Error for a file that cannot be written: where, why, how much room it needs and there is, and the way out."""
    problem, remedy = error.strerror or str(error), "Choose"
    if error.errno in _FULL:
        problem += _room(path, size)
        remedy = "Free some space and run again, or choose"
    kind = ReadOnlyError if error.errno in _FORBIDDEN else RunStateError
    return kind(f"Cannot write {path}: {problem}. {remedy} another folder with --out.")


def sweep(folder: Path) -> None:
    """Removes what processes that were killed while they wrote left below ``folder``, which the caller has locked.

    Links in it are not followed. safetensors writes into a hidden file of its own, whose name begins with ``.tmp``.
    """
    for unfinished in (*folder.rglob(".*.tmp"), *folder.rglob(".tmp*")):
        unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes ``text`` (UTF-8) to ``path`` atomically.

    Raises:
        RunStateError: the folder cannot be written, or the disk is full.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes ``content`` to ``path`` atomically.

    Raises:
        RunStateError: the folder cannot be written, or the disk is full.
    """
    with replacing(path, len(content)) as temporary:
        temporary.write_bytes(content)


def write_note(path: Path, text: str) -> None:
    """Writes a ``text`` of one block at most, which tells how things stand: on a full disk in the place of the old one.

    Raises:
        RunStateError: the folder cannot be written, or the disk is full and there is no old text.
    """
    try:
        write_text(path, text)
    except RunStateError as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in _FULL:
            raise
        with contextlib.suppress(OSError), path.open("r+b", buffering=0) as file:
            file.write(text.encode().ljust(path.stat().st_size))
            return
        raise


def append_text(path: Path, text: str) -> None:
    """Adds ``text`` (UTF-8) to the end of a file.

    Raises:
        RunStateError: the file cannot be written, or the disk is full; part of the text may be there.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise cannot_write(path, error, len(text.encode())) from error


def relative_link(link: Path, folder: Path) -> None:
    """Makes ``link`` a relative link to ``folder`` (or file), so that both can be moved together.

    Raises:
        RunStateError: the folder cannot be written, or the disk is full.
    """
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(folder, link.parent), target_is_directory=True)
    except OSError as error:
        raise cannot_write(link, error) from error


def _new_beside(path: Path) -> Path:
    start = os.fsdecode(os.fsencode(path.name)[:_NAME_BYTES])
    temporary = path.with_name(f".{start}.{secrets.token_hex(6)}.tmp")
    temporary.touch(exist_ok=False)
    return temporary


def _remove(temporary: Path | None) -> None:
    if temporary is not None:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _room(path: Path, size: int | None) -> str:
    """What a file needs and its disk has, in brackets."""
    there = next(folder for folder in path.absolute().parents if folder.is_dir())
    needed = "" if size is None else f"{_mebibytes(size)} are needed, "
    return f" ({needed}{_mebibytes(shutil.disk_usage(there).free)} are free)"


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size:,} bytes"


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
