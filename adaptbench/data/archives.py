"""Files inside zip archives, named by paths that go through the archive: ``DATA/gtFine.zip/gtFine/val/x.png``.

An archive is opened once per process and then read by position, so that forks and threads share it. Every file read
from it is announced to Python's audit hooks under its path: the label firewall decides file by file.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from weakref import WeakSet

from adaptbench.errors import DataError
from adaptbench.storage import plain_files

_SUFFIX = ".zip"
#: More than any image or label has. Units: bytes, unpacked.
_LARGEST = 512 << 20
#: What Python raises for damaged archives, beside its own error.
_DAMAGED = (zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)


class _Positioned(io.RawIOBase):
    """A file whose position is this process's own: reading it moves nobody else's."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._size = os.fstat(self._file.fileno()).st_size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        wanted = self._size - self._at if size is None or size < 0 else size
        data = os.pread(self._file.fileno(), wanted, self._at)
        self._at += len(data)
        return data

    def close(self) -> None:
        self._file.close()
        super().close()


class Archive:
    """A zip archive, opened.

    Raises:
        DataError: it cannot be read, or is no zip archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            plain_files.require_plain(path)
            self._file = _Positioned(path)
            self._zip = zipfile.ZipFile(self._file)
        except (OSError, zipfile.BadZipFile, *_DAMAGED) as error:
            raise DataError(f"Cannot read the archive {path}: {error}. Download it again.") from error
        self._read: Callable[[str], bytes] = self._unpack
        _open.add(self)

    @cached_property
    def files(self) -> frozenset[str]:
        """Names of all files in it."""
        return frozenset(name for name in self._zip.namelist() if not name.endswith("/"))

    def holds_folder(self, folder: str) -> bool:
        """Whether anything lies below ``folder``."""
        return any(name.startswith(f"{folder}/") for name in self.files)

    def glob(self, folder: str, pattern: str) -> list[Path]:
        """Paths of the files in ``folder`` that match ``pattern``, as `pathlib.Path.glob` has it (without ``**``)."""
        wanted = (*PurePosixPath(folder).parts, *PurePosixPath(pattern).parts)
        found = ((name, PurePosixPath(name).parts) for name in self.files)
        return [
            self.path / name
            for name, parts in found
            if len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))
        ]

    def identity(self, name: str) -> str:
        """Size and checksum of a file, as the archive lists them; an OSError if there is none."""
        try:
            listed = self._zip.getinfo(name)
        except KeyError as error:
            raise FileNotFoundError(f"no such file in the archive: {name}") from error
        return f"{listed.file_size} bytes, crc {listed.CRC:08x}"

    def read(self, name: str) -> bytes:
        """Content of a file; its checksum is verified.

        Raises:
            OSError: there is none.
            DataError: the archive is damaged.
            FirewallError: it is out of reach of this process.
        """
        sys.audit("open", str(self.path / name), "rb", 0)
        return self._read(name)

    def give_away(self, read: Callable[[str], bytes]) -> None:
        """Closes the archive's file; from now on ``read`` gives the content of the files in it."""
        _ = self.files
        self._read = read
        self._file.close()

    def _unpack(self, name: str) -> bytes:
        try:
            size = self._zip.getinfo(name).file_size
            if size > _LARGEST:
                raise DataError(
                    f"{name} in {self.path} has {size:,} bytes, and at most {_LARGEST:,} are read. Is it an image?"
                )
            return self._zip.read(name)
        except KeyError as error:
            raise FileNotFoundError(f"no such file in the archive: {name}") from error
        except (zipfile.BadZipFile, *_DAMAGED) as error:
            raise DataError(f"Cannot read {name} from {self.path}: {error}. Download it again.") from error


#: The archives that this process has opened.
_open: WeakSet[Archive] = WeakSet()


def opened() -> list[Archive]:
    """The archives that this process has opened, however often each of them."""
    return sorted(_open, key=lambda each: each.path)


@lru_cache(maxsize=256)
def archive(path: Path) -> Archive:
    """The archive at ``path``, opened once per process."""
    return Archive(path)


def split(path: Path) -> tuple[Path, str] | None:
    """The archive that ``path`` goes through and the name in it; None where it goes through none."""
    if f"{_SUFFIX}{os.sep}" not in str(path):
        return None
    for parent in path.parents:
        if parent.suffix == _SUFFIX and parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    return None


def is_file(path: Path) -> bool:
    """Whether there is such a file, on disk or in an archive."""
    try:
        inside = split(path)
        return path.is_file() if inside is None else inside[1] in archive(inside[0]).files
    except OSError:  # its name is too long
        return False


def read_bytes(path: Path) -> bytes:
    """Content of a file, on disk or in an archive.

    Raises:
        OSError: it cannot be read.
    """
    inside = split(path)
    if inside is None:
        return plain_files.read_bytes(path, _LARGEST)
    return archive(inside[0]).read(inside[1])


def sha256(path: Path) -> str:
    """Identity of the content of a file, on disk or in an archive.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}. Copy or unpack it again.") from error
