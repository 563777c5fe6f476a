"""Masked image consistency: hide random blocks of the target images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def grid_size(image_size: tuple[int, int], block: int) -> tuple[int, int]:
    """Return the number of blocks per column and row: side / block, halves rounded to even.

    Args:
        image_size: height and width in pixels.
        block: side of a block in pixels (64 in the paper for 1024 and 512).

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
    """Draw one number, uniform in [0, 1), for every block of every image.

    Args:
        batch: number of images.
        image_size: height and width in pixels.
        block: side of a block in pixels.
        generator: source of the numbers, on the CPU.

    Shape:
        - returns: float32 (B, 1, rows, columns), see `grid_size`.

    Raises:
        ValueError: see `grid_size`.

    Source: MIC, arXiv 2212.01322, section 3; docs/quirks.md#s52.
    """
    return torch.rand(batch, 1, *grid_size(image_size, block), generator=generator)


def block_mask(draws: Tensor, mask_ratio: float, image_size: tuple[int, int]) -> Tensor:
    """Keep the blocks whose draw is greater than the mask ratio.

    Blocks are uneven where the image is no multiple of them (nearest upsampling of the grid).

    Args:
        draws: see `draw_blocks`.
        mask_ratio: expected share of hidden pixels (0.7 in the paper).
        image_size: height and width in pixels.

    Shape:
        - draws: float (B, 1, rows, columns), values in [0, 1).
        - returns: bool (B, 1, H, W), true = kept.

    Raises:
        ValueError: the ratio lies outside 0..1.

    Source: MIC, arXiv 2212.01322, section 3; docs/quirks.md#s52.
    """
    if not 0.0 <= mask_ratio <= 1.0:
        raise ValueError(f"mask_ratio: expected a share in 0..1, got {mask_ratio}")
    kept = (draws > mask_ratio).float()
    return functional.interpolate(kept, size=image_size, mode="nearest").bool()


def mask_image(image: Tensor, mask: Tensor) -> Tensor:
    """Set the hidden pixels of normalised images to 0, the mean colour.

    Shape:
        - image: float (B, C, H, W), normalised, after any strong augmentation.
        - mask: bool (B, 1, H, W), true = kept; may be on another device.
        - returns: like image.

    Source: MIC, arXiv 2212.01322, section 3; docs/quirks.md#s51.
    """
    return image * mask.to(image.device)
