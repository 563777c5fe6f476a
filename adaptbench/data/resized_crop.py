"""Resized crops: a box of random size and ratio is cut out and resized to a fixed size."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from adaptbench.data.transforms import resize_image, resize_label

UInt8 = npt.NDArray[np.uint8]
#: (height, width) in pixels.
Size = tuple[int, int]

#: Range of the ratio of width to height.
_RATIOS = (3 / 4, 4 / 3)
_ATTEMPTS = 10


class CropBox(NamedTuple):
    """A box in an image. Units: pixels."""

    top: int
    left: int
    height: int
    width: int


def draw_box(size: Size, smallest: float, generator: np.random.Generator) -> CropBox:
    """Draws a box in an image of this height and width; after ten that do not fit, the largest one in the middle.

    Its share of the image's area is uniform between ``smallest`` and 1.

    Source: PixMatch, arXiv 2105.08128, augmentation; the library it names.
    """
    height, width = size
    for _ in range(_ATTEMPTS):
        area = generator.uniform(smallest, 1.0) * height * width
        ratio = math.exp(generator.uniform(math.log(_RATIOS[0]), math.log(_RATIOS[1])))
        box = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < box[0] <= height and 0 < box[1] <= width:
            top, left = (
                int(generator.integers(side - length + 1)) for side, length in zip(size, box, strict=True)
            )
            return CropBox(top, left, *box)
    return _central(size)


def _central(size: Size) -> CropBox:
    """The largest box in the middle whose ratio is allowed."""
    height, width = size
    ratio = min(max(width / height, _RATIOS[0]), _RATIOS[1])
    box = min(height, round(width / ratio)), min(width, round(height * ratio))
    return CropBox((height - box[0]) // 2, (width - box[1]) // 2, *box)


def crop_image(image: UInt8, box: CropBox, size: Size) -> UInt8:
    """The box, resized bilinearly. Shape: ``(H, W, 3)`` to ``(*size, 3)`` uint8."""
    return resize_image(_cut(image, box), (size[1], size[0]))


def crop_label(label: UInt8, box: CropBox, size: Size) -> UInt8:
    """The box, resized to the nearest pixel. Shape: ``(H, W)`` to ``size`` uint8."""
    return resize_label(_cut(label, box), (size[1], size[0]))


def _cut(array: UInt8, box: CropBox) -> UInt8:
    return array[box.top : box.top + box.height, box.left : box.left + box.width]
