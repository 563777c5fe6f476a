"""Anybody's images: those of a folder, read as a viewer shows them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from adaptbench.data.files import read_image
from adaptbench.errors import DataError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

#: Value of the orientation tag of EXIF -> what makes the stored pixels upright. Source: EXIF 2.3, tag 0x0112.
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class InputImage:
    """An image file.

    Attributes:
        name: its path below the folder, without suffix.
        path: the file.
    """

    name: str
    path: Path


def find(folder: Path) -> list[InputImage]:
    """All images in ``folder`` and the folders in it, by path; hidden ones are left out.

    Raises:
        DataError: there is no such folder, it holds no image, or two have the same name.
    """
    if not folder.is_dir():
        raise DataError(f"--images {folder}: there is no such folder. Give the folder that holds the images.")
    paths = sorted(path for path in folder.rglob("*") if _counts(path.relative_to(folder), path))
    if not paths:
        raise DataError(
            f"--images {folder}: it holds no image. Looked for {', '.join(SUFFIXES)}, also in its folders."
        )
    images = [InputImage(path.relative_to(folder).with_suffix("").as_posix(), path) for path in paths]
    _require_different(images)
    return images


def read_upright(path: Path) -> tuple[npt.NDArray[np.uint8], bool]:
    """An image as viewers show it, and whether its orientation tag of EXIF says to turn the stored pixels.

    Shape: ``(H, W, 3)`` RGB uint8.

    Raises:
        DataError: the file is missing, damaged or no image.
    """
    stored = read_image(path)
    turn = _UPRIGHT.get(_orientation(path))
    if turn is None:
        return stored, False
    return np.asarray(Image.fromarray(stored).transpose(turn)), True


def _orientation(path: Path) -> int:
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            return int(image.getexif().get(_ORIENTATION, 1))
    except (OSError, SyntaxError, ValueError, TypeError):
        return 1  # the image is whole, as it has been read; its tags are not


def _counts(inside: Path, path: Path) -> bool:
    hidden = any(part.startswith(".") for part in inside.parts)
    return not hidden and path.suffix.lower() in SUFFIXES and path.is_file()


def _require_different(images: list[InputImage]) -> None:
    seen: dict[str, Path] = {}
    for image in images:
        other = seen.setdefault(image.name, image.path)
        if other != image.path:
            raise DataError(
                f"{other} and {image.path} differ in the suffix only, so that their predictions would have one name. "
                "Rename one of them."
            )
