"""Pseudo-label margins: the borders of target images that no pseudo label is trusted on."""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from adaptbench.data.transforms import fitted_size, resize_label
from adaptbench.errors import UsageError

UInt8 = npt.NDArray[np.uint8]

Canvas = tuple[int, int] | Literal["image"]
"""What the margins are cut from: a fixed (height, width) in pixels, or the image's own size."""

PUBLISHED_CANVAS = (1024, 2048)
"""Height and width of the published canvas, whatever the image's size is."""

PADDED = 255
"""Value of padding, as in a label; see `adaptbench.adaptation.pseudo_label.restrict` for what it does."""


class Margins(NamedTuple):
    """Widths of the margins, pixels of the canvas; the published ones are 30, 240, 30, 30 for 1024 x 2048."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


def cut_margins(margins: Margins, size: tuple[int, int]) -> UInt8:
    """Return a mask that is 0 in the margins and 1 inside. Shape: uint8 (H, W) of size (height, width).

    Raises:
        ValueError: a margin is negative or nothing is left inside.

    Source: HRDA, arXiv 2204.13132; docs/quirks.md#s49.
    """
    inside = (size[0] - margins.top - margins.bottom, size[1] - margins.left - margins.right)
    if min(margins) < 0 or min(inside) <= 0:
        raise ValueError(f"margins: expected 0 or more pixels and less than {size} in sum, got {margins}")
    mask = np.zeros(size, dtype=np.uint8)
    mask[margins.top : size[0] - margins.bottom, margins.left : size[1] - margins.right] = 1
    return mask


def margin_mask(
    margins: Margins,
    image_size: tuple[int, int],
    box: tuple[int, int],
    canvas: Canvas = PUBLISHED_CANVAS,
) -> UInt8:
    """Return the mask of trusted pixels for an image file of (width, height) that was resized to fit a box.

    The mask is cut on the canvas (the published fixed one, one scaled with the profile, or ``image``) and
    resized (nearest) like the image, see `fitted_size`. It depends on no file, so one mask serves all images
    of a size.

    Shape: uint8 (H, W) of the resized image, 0 or 1.

    Raises:
        ValueError: the margins do not fit the canvas, or the canvas has another shape than the image.

    Source: docs/quirks.md#s49.
    """
    size = fitted_size(image_size, box)
    height, width = (image_size[1], image_size[0]) if canvas == "image" else canvas
    resized = fitted_size((width, height), box)
    if resized != size:
        raise ValueError(
            f"margins: images of {image_size[0]}x{image_size[1]} become {size[0]}x{size[1]} and the canvas of "
            f"{width}x{height} becomes {resized[0]}x{resized[1]} pixels; use canvas='image' for such a dataset"
        )
    return resize_label(cut_margins(margins, (height, width)), size)


def crop_mask(
    mask: UInt8, crop: tuple[slice, slice], flip: bool, size: tuple[int, int], padding: int = PADDED
) -> UInt8:
    """Take the mask through crop, flip and padding, in that order, like the image it belongs to.

    The crop may reach beyond the image. Smaller ones are padded to ``size`` (height, width) at the bottom and
    right.

    Shape: uint8 (H, W), 0 or 1, of the whole resized image, to (h, w), 0, 1 or the padding.

    Source: docs/quirks.md#s34 and #s49.
    """
    cropped = mask[crop][:, ::-1] if flip else mask[crop]
    missing = [max(side - have, 0) for side, have in zip(size, cropped.shape, strict=True)]
    return np.pad(cropped, [(0, missing[0]), (0, missing[1])], constant_values=padding)


@cache
def trusted_pixels(margins: Margins, file_size: tuple[int, int], box: tuple[int, int]) -> UInt8:
    """Where pseudo-labels of an image are trusted, at its size in the box; one mask serves all images of a size.

    Shape: uint8 (H, W), 0 or 1.

    Raises:
        UsageError: the margins leave nothing of such images.
    """
    try:
        return margin_mask(margins, file_size, box, canvas="image")
    except ValueError as error:
        raise UsageError(_margins_too_wide(margins, file_size)) from error


def _margins_too_wide(margins: Margins, size: tuple[int, int]) -> str:
    least = margins.left + margins.right + 1, margins.top + margins.bottom + 1
    return (
        f"Nothing is left of target images of {size[0]}x{size[1]} pixels within the margins in which pseudo-labels are "
        f"not trusted: {margins.top} pixels at the top, {margins.bottom} at the bottom, {margins.left} left and "
        f"{margins.right} right. Images need at least {least[0]}x{least[1]} pixels; or use --set margins=false."
    )
