"""Masked image consistency: hide random blocks of the target images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def grid_size(image_size: tuple[int, int], block: int) -> tuple[int, int]:
    """Return the number of blocks per column and row: side / block in pixels, halves rounded to even.

    Raises:
        ValueError: the block is not positive or so large that no block is left.

    Source: docs/quirks.md#s52 (80 and 112 pixels in blocks of 32 give 2 and 4).
    """
    if block < 1:
        raise ValueError(f"block: expected at least 1 pixel, got {block}")
    rows, columns = round(image_size[0] / block), round(image_size[1] / block)
    if min(rows, columns) < 1:
        raise ValueError(f"block: {block} pixels are too large for images of {image_size}")
    return rows, columns


def draw_blocks(batch: int, image_size: tuple[int, int], block: int, generator: torch.Generator) -> Tensor:
    """Draw one number, uniform in [0, 1), for every block (64 pixels wide in the paper) of every image.

    Shape: images of (height, width) to float32 (B, 1, rows, columns), see `grid_size`.

    Source: MIC, arXiv 2212.01322, section 3; docs/quirks.md#s52.
    """
    return torch.rand(batch, 1, *grid_size(image_size, block), generator=generator)


def block_mask(draws: Tensor, mask_ratio: float, image_size: tuple[int, int]) -> Tensor:
    """Keep the blocks whose draw is greater than the mask ratio (0.7 in the paper).

    The ratio is the expected share of hidden pixels. Blocks are uneven where the image is no multiple of them
    (nearest upsampling of the grid).

    Shape: float (B, 1, rows, columns), see `draw_blocks`, to bool (B, 1, height, width), true = kept.

    Raises:
        ValueError: the ratio lies outside 0..1.

    Source: MIC, arXiv 2212.01322, section 3; docs/quirks.md#s52.
    """
    if not 0.0 <= mask_ratio <= 1.0:
        raise ValueError(f"mask_ratio: expected a share in 0..1, got {mask_ratio}")
    kept = (draws > mask_ratio).float()
    return functional.interpolate(kept, size=image_size, mode="nearest").bool()


def mask_image(image: Tensor, mask: Tensor) -> Tensor:
    """Set the hidden pixels of normalised images to 0, the mean colour; it follows any strong augmentation.

    Shape: float (B, C, H, W), unchanged; bool (B, 1, H, W), true = kept, on any device.

    Source: MIC, arXiv 2212.01322, section 3; docs/quirks.md#s51.
    """
    return image * mask.to(image.device)
