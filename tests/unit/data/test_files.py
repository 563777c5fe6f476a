from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from adaptbench.contracts.dataset import Sample
from adaptbench.data.files import read_image, read_index_image, require_same_size
from adaptbench.errors import DataError

RECORDED = Path(__file__).resolve().parents[2] / "conformance" / "cases" / "data"


def street(height: int = 40, width: int = 60) -> npt.NDArray[np.uint8]:
    coarse = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    resized: npt.NDArray[np.uint8] = cv2.resize(coarse, (width, height))
    return resized


def encoded(array: npt.NDArray[Any], form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form, **options)
    return buffer.getvalue()


PNG = encoded(street(), "PNG")
JPEG = encoded(street(), "JPEG", quality=95)
PROGRESSIVE = encoded(street(), "JPEG", quality=95, progressive=True)
LABEL = encoded(street()[:, :, 0] % 19, "PNG")


def write(tmp_path: Path, data: bytes, name: str = "image.png") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE, PNG])
def test_an_image_is_rgb_like_pillow_reads_it(data: bytes, tmp_path: Path) -> None:
    image = read_image(write(tmp_path, data))
    assert image.dtype == np.uint8
    expected = np.array(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(image - expected).max() <= (0 if data is PNG else 2)  # JPEG decoders round differently


def test_the_orientation_tag_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    path = write(tmp_path, encoded(street(), "JPEG", exif=exif))
    assert read_image(path).shape == (40, 60, 3)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_more_than_8_bits_need_a_range(suffix: str, tmp_path: Path) -> None:
    """A camera's 12 bits in a file of 16, which would be nearly black."""
    path = tmp_path / f"image.{suffix}"
    values = np.array([[0, 1000, 2048, 4095, 5000]], np.uint16)
    cv2.imwrite(str(path), np.repeat(values[..., None], 3, axis=2))
    with pytest.raises(
        DataError, match=rf"{path} has values of type uint16, from 0 to 5000\. .*'range: \[0, 4095\]'"
    ):
        read_image(path)
    assert read_image(path, (0, 4095))[0, :, 0].tolist() == [0, 62, 128, 255, 255]
    assert read_image(path, (1000, 4095))[0, :, 0].tolist() == [0, 0, 86, 255, 255]


def test_grey_values_of_16_bits_and_floats(tmp_path: Path) -> None:
    grey, real = tmp_path / "grey.png", tmp_path / "real.tiff"
    cv2.imwrite(str(grey), np.array([[0, 300]], np.uint16))
    cv2.imwrite(str(real), np.array([[0, 0.5, 1, np.nan]], np.float32))
    for path in (grey, real):
        with pytest.raises(DataError, match="convert it, or state"):
            read_image(path)
    assert read_image(grey, (0, 300)).tolist() == [[[0] * 3, [255] * 3]]
    assert read_image(real, (0, 1))[0, :, 0].tolist() == [0, 128, 255, 0]


def test_cmyk_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    Image.fromarray(street()).convert("CMYK").save(path)
    with pytest.raises(DataError, match=rf"{path} is in CMYK.*Convert it to RGB"):
        read_image(path)


def test_grey_with_alpha_and_transparent_pixels(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.merge("LA", [Image.new("L", (3, 2), 77), Image.new("L", (3, 2), 0)]).save(path)
    assert (read_image(path) == 77).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_other_image_modes_become_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(street()).convert(mode).save(path)
    np.testing.assert_array_equal(read_image(path), np.array(Image.open(path).convert("RGB")))


@pytest.mark.parametrize("mode", ["P", "L"])
def test_labels_are_indices_or_values(mode: str, tmp_path: Path) -> None:
    ids = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = Image.fromarray(ids)
    if mode == "P":
        image.putpalette([0] * 768)  # every index has the same colour
    image.save(tmp_path / "label.png")
    assert Image.open(tmp_path / "label.png").mode == mode
    np.testing.assert_array_equal(read_index_image(tmp_path / "label.png"), ids)


def test_palettes_of_few_colours_are_packed_and_still_read(tmp_path: Path) -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = Image.fromarray(ids)
    image.putpalette([v for i in range(12) for v in (i, 2 * i, 3 * i)])
    image.save(tmp_path / "label.png", bits=4)
    np.testing.assert_array_equal(read_index_image(tmp_path / "label.png"), ids)


@pytest.mark.parametrize(
    ("array", "mode"),
    [
        (street(), "RGB"),
        (np.zeros((4, 8, 4), np.uint8), "RGBA"),
        (np.zeros((4, 8), np.uint16), "I;16"),
        (np.zeros((4, 8), bool), "1"),
    ],
)
def test_other_label_encodings_are_named(array: npt.NDArray[Any], mode: str, tmp_path: Path) -> None:
    path = write(tmp_path, encoded(array, "PNG"))
    with pytest.raises(DataError) as caught:
        read_index_image(path)
    message = str(caught.value)
    assert "unknown encoding" in message
    assert str(path) in message
    assert repr(mode) in message
    assert "converter" in message


def test_official_files_of_another_kind_are_no_labels() -> None:
    for kind in ("color", "instanceIds"):
        path = RECORDED / "label_mapping" / "files" / f"aachen_000000_000019_gtFine_{kind}.png"
        with pytest.raises(DataError, match="unknown encoding"):
            read_index_image(path)


def test_a_lossy_label_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, encoded(street()[:, :, 0], "JPEG"), "label.jpg")
    with pytest.raises(DataError, match="is a JPEG of mode 'L'"):
        read_index_image(path)


@pytest.mark.parametrize("data", [PNG, JPEG, PROGRESSIVE])
@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_image_is_never_read(
    data: bytes, share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.getbasetemp(), data[: int(len(data) * share)])
    with pytest.raises(DataError, match=r"image\.png"):
        read_image(path)


def test_a_truncated_image_that_ends_with_a_thumbnail_is_noticed(tmp_path: Path) -> None:
    thumbnail = JPEG[:2] + b"\xff\xe1" + (len(JPEG) + 2).to_bytes(2, "big") + JPEG + JPEG[2:]
    assert read_image(write(tmp_path, thumbnail)).shape == (40, 60, 3)
    with pytest.raises(DataError, match="truncated"):
        read_image(write(tmp_path, thumbnail[:-20]))


@settings(max_examples=60, deadline=None)
@given(position=st.integers(8, len(LABEL) - 5), change=st.integers(1, 255))
def test_a_changed_byte_of_a_png_is_never_read(
    position: int, change: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(LABEL)
    data[position] ^= change
    path = write(tmp_path_factory.getbasetemp(), bytes(data), "label.png")
    with pytest.raises(DataError, match=r"label\.png"):
        read_index_image(path)
    with pytest.raises(DataError, match=r"label\.png"):
        read_image(path)


@pytest.mark.parametrize("read", [read_image, read_index_image])
@pytest.mark.parametrize("data", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"<html></html>"])
def test_what_is_no_image_is_named(read: Callable[[Path], object], data: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"image\.png"):
        read(write(tmp_path, data))


@pytest.mark.parametrize("read", [read_image, read_index_image])
def test_a_missing_file_and_a_folder_are_named(read: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Cannot read .*gone\.png: No such file"):
        read(tmp_path / "gone.png")
    with pytest.raises(DataError, match="Cannot read"):
        read(tmp_path)


def test_sizes_must_agree(tmp_path: Path) -> None:
    sample = Sample("one", tmp_path / "image.png", tmp_path / "label.png")
    require_same_size(np.zeros((4, 8, 3), np.uint8), np.zeros((4, 8), np.uint8), sample)
    with pytest.raises(DataError) as caught:
        require_same_size(np.zeros((4, 8, 3), np.uint8), np.zeros((3, 8), np.uint8), sample)
    message = str(caught.value)
    assert "another size than its image" in message
    for part in ("label.png", "image.png", "8x4", "8x3"):
        assert part in message
