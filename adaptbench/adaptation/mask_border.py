"""Borders of masks, one pixel wide."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def dilate(mask: Tensor) -> Tensor:
    """Pixels of which one of themselves, their left, upper and upper left neighbour is in the mask.

    Shape: bool ``(B, 1, H, W)``, unchanged.

    Source: quirk 10 of the recorded values: a kernel of 2x2 pixels, anchored at its lower right one.
    """
    widened = functional.pad(mask.float(), (1, 0, 1, 0))
    return functional.max_pool2d(widened, kernel_size=2, stride=1).bool()


def erode(mask: Tensor) -> Tensor:
    """Pixels of which all of these are in the mask; outside of the picture nothing counts. Shape: as in `dilate`."""
    return ~dilate(~mask)


def border(mask: Tensor) -> Tensor:
    """Pixels that dilation adds, and those that erosion takes away. Shape: as in `dilate`."""
    return dilate(mask) & ~erode(mask)
