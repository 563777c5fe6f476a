"""Files that are read whole: plain ones of a bounded size, so that nothing waits for a pipe or fills the memory."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path


def require_plain(path: Path, limit: int | None = None) -> None:
    """Checks that there is a file that can be read to its end.

    Args:
        path: links are followed.
        limit: more is not read. Units: bytes.

    Raises:
        OSError: there is none; it is a folder, a pipe, a device or a socket; or it is larger.
    """
    facts = path.stat()
    if stat.S_ISDIR(facts.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe, a device or a socket and no file", str(path))
    if limit is not None and facts.st_size > limit:
        raise OSError(
            errno.EFBIG, f"it has {facts.st_size:,} bytes, and at most {limit:,} are read", str(path)
        )


def read_bytes(path: Path, limit: int) -> bytes:
    """Content of a plain file of at most ``limit`` bytes; an OSError otherwise, as `require_plain` has it."""
    require_plain(path, limit)
    return path.read_bytes()


def read_text(path: Path, limit: int) -> str:
    """The same as UTF-8; a UnicodeDecodeError, which is a ValueError, if it is none."""
    return read_bytes(path, limit).decode("utf-8")


def file_digest(path: Path) -> str | None:
    """sha256 of the content of a file; None where there is no plain one."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
