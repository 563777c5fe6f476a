"""Detail crops of HRDA: boxes, and where they may be drawn.

Source: Hoyer et al., HRDA, arXiv 2204.13132, section 3.1; docs/quirks.md#s9, #s10 and #s14.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adaptbench.errors import UsageError

#: (height, width) in pixels.
Size = tuple[int, int]


class CropBox(NamedTuple):
    """Rows top..bottom and columns left..right of an image, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    def divided(self, divisor: float) -> CropBox:
        """The box on a grid that is ``divisor`` times coarser, truncated."""
        return CropBox(*(int(edge / divisor) for edge in self))

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, for indexing."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left


def number_of_offsets(margin: int, divisor: int, reach_edge: bool = False) -> int:
    """How many offsets a crop may have along one side; they are 0, divisor, 2 * divisor, ...

    Args:
        margin: side of the image minus side of the crop.
        divisor: distance of the offsets.
        reach_edge: count the last one that fits. The published code counts it for divisor 1 only.

    Source: docs/quirks.md#s10.
    """
    return margin // divisor + 1 if reach_edge else (margin + 1) // divisor


def draw_crop_box(
    image: Size, crop: Size, divisor: int, generator: np.random.Generator, reach_edge: bool = False
) -> CropBox:
    """Draw a detail crop, the row offset first; nothing is drawn when the crop is the image.

    Offsets are multiples of ``divisor``; for ``reach_edge`` see `number_of_offsets`.

    Raises:
        UsageError: the crop leaves no offset to draw.

    Source: HRDA, arXiv 2204.13132, section 3.1; docs/quirks.md#s9 and #s10.
    """
    if image == crop:
        return CropBox(0, image[0], 0, image[1])
    offsets = []
    for side, length in zip(image, crop, strict=True):
        count = number_of_offsets(side - length, divisor, reach_edge)
        if side < length or count < 1:
            raise UsageError(
                f"A detail crop of {crop} has no place in an image of {image} at offsets that are multiples of "
                f"{divisor}: leave a margin of at least {divisor - 1} pixels on each side, or make both equal."
            )
        offsets.append(int(generator.integers(0, count)) * divisor)
    return CropBox(offsets[0], offsets[0] + crop[0], offsets[1], offsets[1] + crop[1])
