"""Images that are made to hang or to fill the memory: named, and not decoded."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from adaptbench.data import archives
from adaptbench.data.files import index_image_size, read_image, read_index_image
from adaptbench.errors import DataError
from adaptbench.prediction.images import find, read_upright

READERS = (read_image, read_index_image, index_image_size)
Read = Callable[[Path], object]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    """Of so many black pixels, of which few are stated."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("read", READERS)
def test_a_bomb_of_400_million_pixels(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(20_000, 20_000))
    with pytest.raises(
        DataError, match=rf"{path} is not read: Image size \(400000000 pixels\) exceeds limit"
    ):
        read(path)


def test_a_bomb_that_pillow_does_not_know(tmp_path: Path) -> None:
    """OpenCV has its own limit, set when the package is imported; without it this would ask for 4.8 GB."""
    path = tmp_path / "bomb.pfm"
    path.write_bytes(b"PF\n20000 20000\n-1.0\n" + b"\0" * 100)
    with pytest.raises(DataError, match=str(path)):
        read_image(path)


@pytest.mark.parametrize("read", READERS)
def test_pipes_and_devices_in_place_of_images(read: Read, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "loop.png").symlink_to("loop.png")
    for name in ("pipe.png", "device.png", "loop.png"):
        with pytest.raises(DataError, match=name):
            read(tmp_path / name)


def test_a_sparse_file(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DataError, match="1,099,511,627,776 bytes, and at most"):
        read_image(tmp_path / "a.png")


def test_a_bomb_in_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_LARGEST", 1 << 20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("bomb.png", b"\0" * ((1 << 20) + 1))
    with pytest.raises(
        DataError, match=r"bomb\.png in .*a\.zip has 1,048,577 bytes, and at most 1,048,576 are read"
    ):
        read_image(tmp_path / "a.zip" / "bomb.png")


def test_an_archive_that_states_less_than_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("bomb.png", b"\0" * (4 << 20))
    data = bytearray(path.read_bytes())
    place = data.rfind(b"PK\1\2") + 24
    data[place : place + 4] = struct.pack("<I", 10)
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"Cannot read bomb\.png from {path}: Bad CRC-32"):
        read_image(path / "bomb.png")


def test_a_pipe_in_place_of_an_archive(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(DataError, match=r"Cannot read the archive .*a\.zip.*pipe"):
        archives.Archive(tmp_path / "a.zip")


def test_what_cannot_be_read_is_among_the_images_to_predict(tmp_path: Path) -> None:
    """So that it is named, and the others are predicted."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "up").symlink_to(tmp_path)
    assert list(find(tmp_path)) == ["loop", "pipe"]
    for path in find(tmp_path).values():
        with pytest.raises(DataError, match=path.name):
            read_upright(path)
