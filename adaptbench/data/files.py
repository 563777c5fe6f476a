"""Reading images and label files, strictly: a damaged file is an error that names it.

The bytes are read with Python's own `open`, or from a zip archive, both of which the label firewall watches, and
decoded from memory. Decoders differ in what they forgive: Pillow accepts a PNG with wrong checksums or without its
end, and OpenCV before version 5 fills the missing tail of a JPEG. So `_whole` looks at the
container first: 1.5 ms beside 34 ms of decoding for a PNG of 1914x1052 pixels.
"""

from __future__ import annotations

import contextlib
import io
import json
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from adaptbench.data import archives
from adaptbench.data.generated_files import require_as_generated, way_out
from adaptbench.errors import DataError
from adaptbench.storage.plain_files import require_plain

if TYPE_CHECKING:
    from adaptbench.data.sample import Sample

_PNG = b"\x89PNG\r\n\x1a\n"
#: Offsets of bit depth and colour type in a PNG's header.
_PNG_DEPTH, _PNG_COLOUR = 24, 25
_JPEG = b"\xff\xd8\xff"
_JPEG_SCAN = b"\xff\xda"  # entropy-coded data follows, in which 0xFF is always followed by 0x00 or a restart
_JPEG_END = b"\xff\xd9"


def read_image(path: Path, value_range: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
    """Reads an image. The orientation tag of EXIF is not applied: label files know nothing of it.

    Grey and palette images become RGB, and an alpha channel is dropped. Values of more than 8 bits need a
    stated range, whose ends become 0 and 255; what is beyond is cut. (A camera's 12 bits in a file of 16
    would otherwise be nearly black.) CMYK is refused: it is RGB only by a profile.

    Shape: ``(H, W, 3)`` RGB uint8.

    Raises:
        DataError: the file is missing, truncated, damaged or no image, in CMYK, or of more than 8 bits without a
            stated range. (JPEG has no checksums: changed bytes within its pixel data cannot be noticed.)
    """
    data = _whole(path)
    _require_colours(data, path)
    colours = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    image = _decoded(data, path, colours, cv2.IMREAD_UNCHANGED)  # grey floats need the second
    if image.dtype != np.uint8:
        image = _eight_bits(image, value_range, path)
    rgb: npt.NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return rgb


def _decoded(data: bytes, path: Path, *flags: int) -> npt.NDArray[Any]:
    """Decoded with the first flags that work. Shape: ``(H, W, 3)`` BGR, in the type of the file."""
    try:
        for flag in flags:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
            if image is not None:
                colours: npt.NDArray[Any] = (
                    cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image
                )
                return colours[..., :3]
    except cv2.error as error:
        raise _damaged(path, str(error).strip()) from error
    raise _damaged(path, f"it cannot be decoded ({len(data)} bytes, the first are {data[:8]!r})")


def _require_colours(data: bytes, path: Path) -> None:
    # Whatever else is wrong with the file, the decoder says.
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        try:
            with Image.open(io.BytesIO(data)) as image:  # reads the header alone
                mode = image.mode
        except Image.DecompressionBombError as error:
            raise _too_large(path, error) from error
        if mode == "CMYK":
            raise DataError(f"Image {path} is in CMYK, whose colours depend on a profile. Convert it to RGB.")


def _eight_bits(
    image: npt.NDArray[Any], value_range: tuple[int, int] | None, path: Path
) -> npt.NDArray[np.uint8]:
    """Values of a range as 0 to 255."""
    if value_range is None:
        raise DataError(
            f"Image {path} has values of type {image.dtype}, from {image.min()} to {image.max()}. Networks see 8 bits: "
            "convert it, or state in the dataset's YAML file which values are black and white, for example "
            "'range: [0, 4095]' for 12 bits."
        )
    low, high = value_range
    scaled = (image.astype(np.float32) - low) * (255 / (high - low))
    eight: npt.NDArray[np.uint8] = np.clip(np.nan_to_num(scaled), 0, 255).round().astype(np.uint8)
    return eight


def read_index_image(path: Path) -> npt.NDArray[np.uint8]:
    """Reads a label file whose pixels are class ids: a PNG with 8-bit grey values or palette indices.

    Shape: ``(H, W)`` uint8, raw ids in the id space of the dataset.

    Raises:
        DataError: the file is missing, truncated or damaged, or its encoding is another one (colours,
            16 bits, a lossy format).
    """
    data = _whole(path)
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format != "PNG" or image.mode not in ("P", "L"):
                raise DataError(
                    f"Label file with unknown encoding: {path} is a {image.format} of mode {image.mode!r}. Expected "
                    "a PNG with one 8-bit class id per pixel (palette indices, mode 'P', or grey values, mode 'L'). Is "
                    "it a colour rendering or the output of a converter? Put the dataset's official label file there."
                )
            return np.array(image, dtype=np.uint8)
    except Image.DecompressionBombError as error:
        raise _too_large(path, error) from error
    except UnidentifiedImageError as error:
        raise _damaged(path, "it is no image") from error
    except (OSError, SyntaxError, ValueError, zlib.error) as error:
        raise _damaged(path, f"it cannot be decoded as a PNG ({error})") from error


def index_image_size(path: Path) -> tuple[int, int]:
    """Width and height of an index image in pixels, from its header alone.

    Raises:
        DataError: the file is missing or no image.
    """
    try:
        require_plain(path)
        with path.open("rb") as file, Image.open(file) as image:
            return image.size
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, error) from error


def read_wide_index_image(path: Path) -> npt.NDArray[np.uint8]:
    """Reads a label file with 16 bits per channel whose red channel is the class id.

    Pillow, and OpenCV unless told otherwise, return the high byte of such a file: class 0 everywhere, and no error.

    Shape: ``(H, W)`` uint8; an id above 255 becomes 255.

    Raises:
        DataError: the file is missing, truncated or damaged, or is no RGB PNG of 16 bits per channel.
    """
    data = _whole(path)
    if not data.startswith(_PNG) or (data[_PNG_DEPTH], data[_PNG_COLOUR]) != (16, 2):
        raise DataError(
            f"Label file with unknown encoding: {path}. Expected an RGB PNG of 16 bits per channel with the class id "
            "in red. Is it a colour rendering or the output of a converter? Put the official label file there."
        )
    decoded = _decoded(data, path, cv2.IMREAD_UNCHANGED)
    ids: npt.NDArray[np.uint8] = np.minimum(decoded[:, :, 2], 255).astype(np.uint8)
    return ids


def read_json(path: Path) -> Any:
    """Content of a JSON file that labels are made of.

    Raises:
        DataError: the file is missing or damaged, or holds no JSON.
    """
    data = _whole(path)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}. Copy or unpack the file again.") from error


def require_same_size(image: npt.NDArray[np.uint8], label: npt.NDArray[np.uint8], sample: Sample) -> None:
    """Checks that a label map covers its image pixel by pixel. Shape: ``(H, W, 3)`` and ``(H, W)``.

    Raises:
        DataError: the sizes differ; names both files and both sizes.
    """
    if image.shape[:2] != label.shape[:2]:
        raise DataError(
            f"Label file {sample.label} has another size than its image: {_size(label)}, but {sample.image} "
            f"has {_size(image)} (width x height). Neither is resized to fit. Restore the official pair, or "
            "remove both files."
        )


def _whole(path: Path) -> bytes:
    """Content of a file, unless the container of a PNG or JPEG shows that something is missing or changed."""
    try:
        data = archives.read_bytes(path)
    except OSError as error:
        raise DataError(
            f"Cannot read {path}: {error.strerror or error}. "
            f"{way_out(path) or 'Expected a file of the dataset there; check that the data is unpacked completely.'}"
        ) from error
    require_as_generated(path, data)
    problem = "" if data else "it is empty"
    if data.startswith(_PNG):
        problem = _png_problem(data)
    elif data.startswith(_JPEG) and not data.rfind(_JPEG_END) > data.rfind(_JPEG_SCAN) >= 0:
        problem = f"truncated: no end mark in the {len(data)} bytes of the JPEG"
    if problem:  # whether this is an image at all is for the decoder to say
        raise _damaged(path, problem)
    return data


def _png_problem(data: bytes) -> str:
    """What is wrong with the chunks of a PNG; empty when all are whole up to the end chunk."""
    view, position = memoryview(data), len(_PNG)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != checksum:
            return f"wrong checksum in the PNG chunk at byte {position}"
        if kind == b"IEND":
            return ""
        position = end
    return f"truncated: no end chunk in the {len(data)} bytes of the PNG"


def _too_large(path: Path, error: Image.DecompressionBombError) -> DataError:
    return DataError(f"Image {path} is not read: {str(error).partition(',')[0]}. Make it smaller, or cut it.")


def _damaged(path: Path, problem: str) -> DataError:
    return DataError(
        f"Damaged or unreadable image {path}: {problem}. "
        "Copy or unpack the file again; no other sample is taken in its place."
    )


def _size(array: npt.NDArray[np.uint8]) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
