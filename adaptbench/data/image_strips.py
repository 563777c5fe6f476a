"""Decoded images in files that are read back bit for bit in a fraction of the time of a PNG, whole or a few rows.

A file is a head and strips of rows. What is compressed (zstandard, the fastest level) is what every row adds to the
row above it in its strip: photographs get a quarter smaller by it than by compressing the rows, and a little slower.
The head has a checksum, and it holds those of the strips, so that only what is read is checked.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from adaptbench.storage.plain_files import require_plain

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

UInt8 = npt.NDArray[np.uint8]

#: What a file begins with. Another format has another number.
MAGIC = b"ABstrip1"
#: Rows of a strip; the last one may have fewer.
ROWS = 64
_LEVEL = 1
#: Bytes of the head after the magic, and its checksum at the end.
_LENGTH, _CHECKSUM = struct.Struct("<I"), 8
#: Longer heads are of no image. Units: bytes.
_LONGEST_HEAD = 1 << 22


class DamagedStripsError(Exception):
    """A file is not what was written, or of another kind; the text says why."""


class _Strip(NamedTuple):
    """Where a strip lies behind the head, and what its compressed bytes have to be."""

    offset: int
    size: int
    checksum: int


def encoded(image: UInt8, identity: str) -> bytes:
    """The file of an image, with a text that says what it is of.

    Shape: ``(H, W, 3)`` uint8, H and W at least 1, in any memory order.
    """
    strips = [_packed(image[top : top + ROWS]) for top in range(0, image.shape[0], ROWS)]
    head = {
        "identity": identity,
        "shape": image.shape,
        "rows": ROWS,
        "strips": [(len(strip), xxhash.xxh3_64_intdigest(strip)) for strip in strips],
    }
    text = json.dumps(head).encode()
    start = MAGIC + _LENGTH.pack(len(text)) + text
    return b"".join((start, xxhash.xxh3_64_digest(start), *strips))


class Strips:
    """An open file of an image.

    Attributes:
        identity: the text that it was written with.
        shape: of the image, ``(H, W, 3)``.

    Raises:
        DamagedStripsError: the head is not what was written.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        head, self._start = _head(file)
        try:
            self.identity = str(head["identity"])
            height, width, channels = map(int, head["shape"])
            self.shape = (height, width, channels)
            self._rows = int(head["rows"])
            self._strips = list(_placed(head["strips"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedStripsError("its head is of another kind") from error
        if len(self._strips) != -(-height // self._rows) or min(self.shape) < 1:
            raise DamagedStripsError("its head is of another kind")

    def read(self, top: int = 0, bottom: int | None = None) -> UInt8:
        """The rows from ``top`` to before ``bottom``, by default all. Shape: ``(rows, W, 3)`` uint8.

        Raises:
            DamagedStripsError: a strip of theirs is not what was written.
            OSError: the file cannot be read.
        """
        bottom = self.shape[0] if bottom is None else bottom
        first, last = top // self._rows, (bottom - 1) // self._rows
        above = first * self._rows
        whole = np.empty((min((last + 1) * self._rows, self.shape[0]) - above, *self.shape[1:]), np.uint8)
        self._file.seek(self._start + self._strips[first].offset)
        for number in range(first, last + 1):
            begin = number * self._rows - above
            self._unpack(self._strips[number], whole[begin : begin + self._rows])
        return whole[top - above : bottom - above]

    def _unpack(self, strip: _Strip, into: UInt8) -> None:
        """Reads the strip that comes next in the file."""
        data = self._file.read(strip.size)
        if xxhash.xxh3_64_intdigest(data) != strip.checksum:
            raise DamagedStripsError(f"{strip.size} bytes of its pixels are not what was written")
        try:
            added = np.frombuffer(zstd.decompress(data), np.uint8).reshape(into.shape)
        except (zstd.ZstdError, ValueError) as error:
            raise DamagedStripsError("its pixels are of another kind") from error
        into[0] = added[0]
        for row in range(1, len(into)):
            np.add(into[row - 1], added[row], out=into[row])


@contextmanager
def opened(path: Path) -> Iterator[Strips]:
    """The file of an image, to be read within the block.

    Raises:
        DamagedStripsError: it is none, or its head is not what was written.
        OSError: it is not there or cannot be read.
    """
    require_plain(path)
    with path.open("rb") as file:
        yield Strips(file)


def _packed(rows: UInt8) -> bytes:
    added = np.array(rows, order="C")
    added[1:] -= rows[:-1]
    return zstd.compress(added.tobytes(), _LEVEL)


def _head(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The head of a file, and where the strips begin."""
    start = file.read(len(MAGIC) + _LENGTH.size)
    if len(start) < len(MAGIC) + _LENGTH.size or not start.startswith(MAGIC):
        raise DamagedStripsError("it does not begin as such a file does")
    (length,) = _LENGTH.unpack(start[len(MAGIC) :])
    text = file.read(length) if length <= _LONGEST_HEAD else b""
    if xxhash.xxh3_64_digest(start + text) != file.read(_CHECKSUM):
        raise DamagedStripsError("its head is not what was written")
    try:
        head = json.loads(text)
    except ValueError as error:
        raise DamagedStripsError("its head is of another kind") from error
    if not isinstance(head, dict):
        raise DamagedStripsError("its head is of another kind")
    return head, len(start) + length + _CHECKSUM


def _placed(strips: Iterable[tuple[int, int]]) -> Iterator[_Strip]:
    offset = 0
    for size, checksum in strips:
        yield _Strip(offset, int(size), int(checksum))
        offset += int(size)
