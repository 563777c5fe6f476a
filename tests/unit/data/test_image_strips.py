"""The file of a decoded image gives back its pixels, or says that it is damaged."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptbench.data.image_strips import MAGIC, ROWS, DamagedStripsError, UInt8, encoded, opened

SIZES = [(1, 1), (1, 7), (7, 1), (ROWS, 3), (ROWS + 1, 5), (3 * ROWS - 1, 33), (130, 257)]


def noise(height: int, width: int, seed: int = 0) -> UInt8:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def written(path: Path, image: UInt8, identity: str = "an image") -> Path:
    path.write_bytes(encoded(image, identity))
    return path


def read(path: Path, top: int = 0, bottom: int | None = None) -> UInt8:
    with opened(path) as strips:
        return strips.read(top, bottom)


@pytest.mark.parametrize("size", SIZES)
def test_pixels_come_back(tmp_path: Path, size: tuple[int, int]) -> None:
    image = noise(*size)
    path = written(tmp_path / "one", image, "a name, with ümlauts\nand lines")
    with opened(path) as strips:
        assert (strips.identity, strips.shape) == ("a name, with ümlauts\nand lines", image.shape)
        back = strips.read()
    assert back.dtype == np.uint8 and back.flags.writeable and back.flags.c_contiguous
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("view", ["[::2, 1::3]", "[:, ::-1]", "[::-1]", "[..., ::-1]", ".transpose(1, 0, 2)"])
def test_the_order_in_memory_does_not_matter(tmp_path: Path, view: str) -> None:
    image = eval(f"image{view}", {"image": noise(150, 40)})  # noqa: S307 - written above
    before = image.copy()
    np.testing.assert_array_equal(read(written(tmp_path / "one", image)), before)
    np.testing.assert_array_equal(image, before)


def test_an_image_that_may_not_be_written_to(tmp_path: Path) -> None:
    image = noise(70, 9)
    image.flags.writeable = False
    np.testing.assert_array_equal(read(written(tmp_path / "one", image)), image)


@given(st.integers(1, 200), st.data())
def test_any_rows(tmp_path_factory: pytest.TempPathFactory, height: int, data: st.DataObject) -> None:
    top = data.draw(st.integers(0, height - 1))
    bottom = data.draw(st.integers(top + 1, height))
    image = noise(height, 4)
    path = written(tmp_path_factory.mktemp("rows") / "one", image)
    np.testing.assert_array_equal(read(path, top, bottom), image[top:bottom])


def test_rows_do_not_read_the_others(tmp_path: Path) -> None:
    image = noise(3 * ROWS, 20)
    path = written(tmp_path / "one", image)
    damage(path, -3)
    np.testing.assert_array_equal(read(path, 5, 2 * ROWS), image[5 : 2 * ROWS])
    with pytest.raises(DamagedStripsError):
        read(path)


def damage(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path / "one", noise(3, 5))
    whole = path.read_bytes()
    for at in range(len(whole)):
        damage(path, at)
        with pytest.raises(DamagedStripsError):
            read(path)
        path.write_bytes(whole)


def test_every_missing_end_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path / "one", noise(ROWS + 3, 2))
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedStripsError):
            read(path)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", MAGIC, MAGIC + b"\xff" * 400, b"\0" * 4096])
def test_other_files_are_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "one"
    path.write_bytes(content)
    with pytest.raises(DamagedStripsError), opened(path):
        pass


def test_what_is_no_plain_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe", tmp_path / "none"):
        with pytest.raises(OSError), opened(place):
            pass


def test_photographs_get_smaller() -> None:
    slope = np.add.outer(np.arange(300), np.arange(400)).astype(np.uint8)
    image = np.stack([slope, slope, slope], axis=2)
    assert len(encoded(image, "")) < image.nbytes / 20
