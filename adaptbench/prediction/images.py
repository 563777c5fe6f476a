"""Anybody's images: those of a folder, read as a viewer shows them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from adaptbench.data.files import read_image
from adaptbench.errors import DataError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_ORIENTATION = ExifTags.Base.Orientation


def find(folder: Path) -> dict[str, Path]:
    """All images in ``folder`` and the folders in it, by their path below it without suffix; hidden ones are left out.

    Raises:
        DataError: there is no such folder, it holds no image, or two have the same name.
    """
    if not folder.is_dir():
        raise DataError(f"--images {folder}: there is no such folder. Give the folder that holds the images.")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if hidden or path.suffix.lower() not in SUFFIXES or path.is_dir():
            continue  # a link to nothing, or a pipe, is an image that cannot be read
        other = found.setdefault(inside.with_suffix("").as_posix(), path)
        if other != path:
            raise DataError(
                f"{other} and {path} differ in the suffix only, so that their predictions would have one name. "
                "Rename one of them."
            )
    if not found:
        raise DataError(
            f"--images {folder}: it holds no image. Looked for {', '.join(SUFFIXES)}, also in its folders."
        )
    return found


def read_upright(path: Path) -> tuple[npt.NDArray[np.uint8], bool]:
    """An image as viewers show it, and whether its orientation tag of EXIF says to turn the stored pixels.

    Shape: ``(H, W, 3)`` RGB uint8.

    Raises:
        DataError: the file is missing, damaged or no image.
    """
    stored, orientation = read_image(path), _orientation(path)
    if orientation not in range(2, 9):
        return stored, False
    image = Image.fromarray(stored)
    image.getexif()[_ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(image)), True


def _orientation(path: Path) -> int:
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            return int(image.getexif().get(_ORIENTATION, 1))
    except (OSError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError):
        return 1  # the image is whole, as it has been read; its tags are not
