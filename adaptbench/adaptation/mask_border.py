"""Borders of masks, one pixel wide."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def dilate(mask: Tensor) -> Tensor:
    """Pixels that are in the mask, or whose left, upper or upper left neighbour is.

    Shape: bool ``(B, 1, H, W)``, unchanged.

    Source: docs/quirks.md#b10 (a kernel of 2x2 pixels, anchored at its lower right one).
    """
    widened = functional.pad(mask.float(), (1, 0, 1, 0))
    return functional.max_pool2d(widened, kernel_size=2, stride=1).bool()


def erode(mask: Tensor) -> Tensor:
    """Pixels in the mask whose left, upper and upper left neighbours are in it or outside the image.

    Shape: as in `dilate`.
    """
    return ~dilate(~mask)


def border(mask: Tensor) -> Tensor:
    """Pixels that dilation adds, and those that erosion takes away. Shape: as in `dilate`."""
    return dilate(mask) & ~erode(mask)
