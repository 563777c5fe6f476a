"""Readers of images and labels: an error of ours, or what an independent reading gives."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mutations import damaged, fuzzed
from PIL import Image

from adaptbench.data.files import index_image_size, read_image, read_index_image, read_wide_index_image
from adaptbench.errors import AdaptBenchError, DataError

_MODES = {
    "1": 1,
    "L": 1,
    "P": 1,
    "LA": 2,
    "RGB": 3,
    "RGBA": 4,
    "CMYK": 4,
    "YCbCr": 3,
    "I;16": 1,
    "F": 1,
    "HSV": 3,
}
_FORMS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "image.png"


@st.composite
def pictures(draw: st.DrawFn) -> tuple[bytes, Image.Image]:
    """A file of any kind, and what is in it."""
    mode, form = draw(st.sampled_from(sorted(_MODES))), draw(st.sampled_from(_FORMS))
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    shape = (height, width) if _MODES[mode] == 1 else (height, width, _MODES[mode])
    wide = {"I;16": np.uint16, "F": np.float32}.get(mode, np.uint8)
    pixels = draw(arrays.arrays(np.uint8, shape)).astype(wide)
    image = Image.fromarray(pixels > 127 if mode == "1" else pixels) if mode in ("1", "I;16", "F") else None
    image = image or Image.fromarray(pixels, None if mode == "P" else mode)
    if mode == "P":
        image.putpalette(draw(st.binary(min_size=768, max_size=768)))
    text = io.BytesIO()
    try:
        image.save(text, form)
    except (OSError, ValueError, KeyError):
        image = image.convert("RGB")
        text = io.BytesIO()
        image.save(text, form)
    return text.getvalue(), image


def reading(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@fuzzed
@given(picture=pictures())
def test_pictures_of_any_kind(file: Path, picture: tuple[bytes, Image.Image]) -> None:
    data, _ = picture
    file.write_bytes(data)
    seen = reading(data)
    if seen.format == "PNG" and seen.mode in ("L", "P"):
        np.testing.assert_array_equal(read_index_image(file), np.array(seen))
    else:
        with pytest.raises(DataError):
            read_index_image(file)
    with pytest.raises(DataError):
        read_wide_index_image(file)
    try:
        image = read_image(file)
    except DataError:
        assert seen.mode in ("CMYK", "I;16", "F", "I", "I;16B") or seen.format in ("GIF", "TIFF")
        return
    assert index_image_size(file) == (image.shape[1], image.shape[0]) == seen.size
    if seen.format in ("PNG", "BMP") and seen.mode in ("1", "L", "P", "RGB"):
        np.testing.assert_array_equal(image, np.array(seen.convert("RGB")))


def png(mode: str) -> bytes:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 19, (9, 14, *((3,) if mode == "RGB" else ())), np.uint8))
    if mode == "P":
        image.putpalette([0] * 768)
    text = io.BytesIO()
    image.save(text, "PNG")
    return text.getvalue()


LABELS = {mode: png(mode) for mode in ("L", "P", "RGB")}


@fuzzed
@given(
    data=st.sampled_from(sorted(LABELS)).flatmap(lambda mode: st.tuples(st.just(mode), damaged(LABELS[mode])))
)
def test_damaged_labels(file: Path, data: tuple[str, bytes]) -> None:
    mode, content = data
    file.write_bytes(content)
    whole: npt.NDArray[np.uint8] = np.array(reading(LABELS[mode]))
    for read in (read_index_image, read_image, read_wide_index_image):
        try:
            found = read(file)
        except DataError:
            continue
        if read is read_index_image or mode == "RGB":
            np.testing.assert_array_equal(found, whole)


@fuzzed
@given(
    data=st.binary(max_size=80),
    head=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\0"]),
)
def test_random_bytes(file: Path, data: bytes, head: bytes) -> None:
    file.write_bytes(head + data)
    for read in (read_index_image, read_image, read_wide_index_image, index_image_size):
        try:
            read(file)
        except AdaptBenchError as error:
            assert str(file) in str(error)
