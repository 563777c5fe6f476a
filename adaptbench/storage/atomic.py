"""Atomic writes: a file is either the old one or the whole new one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from adaptbench.errors import ReadOnlyError, RunStateError, advice

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
#: What no other folder helps against.
_ANYWHERE = (errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG, errno.EIO, errno.ESTALE)
#: Of a file's name so much stands in that of its temporary file, as file systems know names of up to 255 bytes.
_NAME_BYTES = 200


@contextlib.contextmanager
def replacing(path: Path, size: int | None = None, flag: str = "--out") -> Iterator[Path]:
    """Gives a temporary path beside ``path`` that replaces it when the block ends without error.

    Args:
        path: gets the permissions that the user's umask leaves.
        size: of the new content, to be named where there is no room for it. Units: bytes.
        flag: with which another place is chosen.

    Raises:
        RunStateError: the folder cannot be written, or the disk is full.
        OSError: of another file, which the block reads.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _beside(path, Path.touch, os.O_RDWR) as temporary:
            yield temporary
            _flush(temporary)
            temporary.replace(path)
    except OSError as error:
        _remove(temporary)  # which counts as used, else
        if not _concerns(error, path):
            raise
        raise cannot_write(path, error, size, flag) from error
    finally:
        _remove(temporary)


@contextlib.contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Gives a hidden folder beside ``path``, which is deleted when the block ends; an OSError if there can be none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _beside(path, Path.mkdir, os.O_RDONLY) as temporary:
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def cannot_write(path: Path, error: OSError, size: int | None = None, flag: str = "--out") -> RunStateError:
    """Error for a file that cannot be written: where, why, how much room it needs and there is, and the way out."""
    problem, remedy = error.strerror or str(error), f"Choose another folder with {flag}."
    if error.errno in _FULL:
        problem += _room(path, size)
        remedy = f"Free some space and run again, or choose another folder with {flag}."
    elif error.errno == errno.EFBIG:
        remedy = f"Allow larger files, as with ulimit -f unlimited, or choose another folder with {flag}."
    elif error.errno in _ANYWHERE:
        remedy = advice(error)
    kind = ReadOnlyError if error.errno in _FORBIDDEN else RunStateError
    return kind(f"Cannot write {path}: {problem}. {remedy}")


def sweep(folder: Path) -> None:
    """Removes what processes that were killed while they wrote left below ``folder``, which the caller has locked.

    Links in it are not followed. safetensors writes into a hidden file of its own, whose name begins with ``.tmp``.
    """
    for unfinished in (*folder.rglob(".*.tmp"), *folder.rglob(".tmp*")):
        unfinished.unlink(missing_ok=True)


def sweep_abandoned(folder: Path) -> None:
    """Removes the same below a ``folder`` that nobody has locked: what is still written is held by who writes it."""
    with contextlib.suppress(FileNotFoundError):  # somebody else writes or sweeps while we look
        for unfinished in list(folder.rglob(".*.tmp")):
            with contextlib.suppress(OSError):
                _remove_abandoned(unfinished)


def write_text(path: Path, text: str, flag: str = "--out") -> None:
    """Writes ``text`` (UTF-8) to ``path`` atomically; ``flag`` chooses another place.

    Raises:
        RunStateError: the folder cannot be written, or the disk is full.
    """
    write_bytes(path, text.encode(), flag)


def write_bytes(path: Path, content: bytes, flag: str = "--out") -> None:
    """Writes ``content`` to ``path`` atomically; ``flag`` chooses another place.

    Raises:
        RunStateError: the folder cannot be written, or the disk is full.
    """
    with replacing(path, len(content), flag) as temporary:
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


@contextlib.contextmanager
def _beside(path: Path, make: Callable[..., None], flags: int) -> Iterator[Path]:
    """Gives what is made under a hidden name beside ``path``, and holds it, so that nobody takes it for abandoned."""
    start, handle = os.fsdecode(os.fsencode(path.name)[:_NAME_BYTES]), None
    while handle is None:
        temporary = path.with_name(f".{start}.{secrets.token_hex(6)}.tmp")
        make(temporary, exist_ok=False)
        handle = _held(temporary, flags)
    try:
        yield temporary
    finally:
        os.close(handle)


def _held(path: Path, flags: int) -> int | None:
    """A handle that keeps sweeping away until it is closed; None if that has begun."""
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError:
        path.rmdir() if path.is_dir() else path.unlink()
        raise
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:  # no locks on this disk, so that nobody sweeps
        return handle
    if path.exists():
        return handle
    os.close(handle)
    return None


def _remove_abandoned(path: Path) -> None:
    """Removes a file or folder; an OSError if it is still held, or cannot be."""
    is_folder = path.is_dir()
    handle = os.open(path, os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_RDONLY if is_folder else os.O_RDWR))
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path) if is_folder else path.unlink()
    finally:
        os.close(handle)


def _concerns(error: OSError, path: Path) -> bool:
    """Whether an error is about a file, its folder, or what lies beside it; one that names no file is."""
    if not isinstance(error.filename, str):
        return True
    named = Path(error.filename)
    return named.parent == path.parent or named in path.parents


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
