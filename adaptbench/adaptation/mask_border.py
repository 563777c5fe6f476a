"""Borders of masks, one pixel wide."""

from __future__ import annotations

from typing import TypeAlias

from torch import Tensor
from torch.nn import functional

#: (rows, columns) of a kernel.
Kernel: TypeAlias = tuple[int, int]
#: A pixel and its left, upper and upper left neighbours.
PUBLISHED: Kernel = (2, 2)


def dilate(mask: Tensor, kernel: Kernel = PUBLISHED) -> Tensor:
    """Pixels that are in the mask, or that have a neighbour in it.

    Neighbours are those that a kernel shows; it is anchored in its middle, right of and below it if its sides are even.

    Shape: bool ``(B, 1, H, W)``, unchanged.

    Source: docs/quirks.md#b10 (a kernel of 2x2 pixels, anchored at its lower right one).
    """
    rows, columns = kernel
    before = rows // 2, columns // 2
    margins = before[1], columns - 1 - before[1], before[0], rows - 1 - before[0]
    widened = functional.pad(mask.float(), margins)
    return functional.max_pool2d(widened, kernel_size=kernel, stride=1).bool()


def erode(mask: Tensor, kernel: Kernel = PUBLISHED) -> Tensor:
    """Pixels in the mask whose neighbours are in it or outside the image.

    Shape: as in `dilate`.
    """
    return ~dilate(~mask, kernel)


def border(mask: Tensor, kernel: Kernel = PUBLISHED) -> Tensor:
    """Pixels that dilation adds, and those that erosion takes away. Shape: as in `dilate`."""
    return dilate(mask, kernel) & ~erode(mask, kernel)
