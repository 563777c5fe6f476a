"""Gaussian blur of the strong augmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

SIGMA_RANGE = (0.15, 1.15)
"""Range of the published blur in pixels of crops of full size."""

_BLUR_THRESHOLD = 0.5


def kernel_side(image_side: int) -> int:
    """Return the side of the blur kernel in pixels: the largest odd number up to ceil(image_side / 10).

    Raises:
        ValueError: the image side is below 1.

    Source: docs/quirks.md#s39 (512 gives 51, 1024 gives 103).
    """
    if image_side < 1:
        raise ValueError(f"image side: expected at least 1 pixel, got {image_side}")
    side = math.ceil(0.1 * image_side)
    return side - 1 + side % 2


def draw_sigma(generator: np.random.Generator, widths: tuple[float, float] = SIGMA_RANGE) -> float:
    """Draw the width of a blur in pixels, uniform in a range.

    Source: docs/quirks.md#s39.
    """
    return float(generator.uniform(*widths))


def blur_applies(draw: float) -> bool:
    """Decide whether images are blurred: only if the draw (uniform in 0..1) is greater than 0.5.

    Source: docs/quirks.md#s37.
    """
    return draw > _BLUR_THRESHOLD


def gaussian_blur(image: Tensor, sigma: float, side: int | None = None) -> Tensor:
    """Blur images with a Gaussian of the given width, reflecting them at the border.

    The kernel side follows the image side on each axis (`kernel_side`). Weights far below the rounding
    unit of the image's type cannot change the result and are left out (at 1024 pixels 17 of 103 remain).

    Shape: float (B, C, H, W), unchanged; ``sigma`` in pixels, above 0; ``side`` the image side that the kernel follows
    on both axes, in pixels, None = the image's own ones.

    Raises:
        ValueError: the image is not four-dimensional or sigma is not positive.

    Source: DACS, arXiv 2007.08702, section 4.1; docs/quirks.md#s39.
    """
    if image.dim() != 4:
        raise ValueError(f"image: expected (B, C, H, W), got shape {tuple(image.shape)}")
    if not sigma > 0:
        raise ValueError(f"sigma: expected a positive number of pixels, got {sigma}")
    height, width = image.shape[2:]
    column, row = (_half_kernel(side or own, sigma, image.dtype) for own in (height, width))
    pad_y, pad_x = len(column) - 1, len(row) - 1
    padded = functional.pad(image, (pad_x, pad_x, pad_y, pad_y), mode="reflect")
    return _convolve(_convolve(padded, column, dim=2), row, dim=3)


def _half_kernel(image_side: int, sigma: float, dtype: torch.dtype) -> list[float]:
    """Return the weights of a symmetric Gaussian kernel of sum 1 from its centre outwards."""
    smallest = torch.finfo(dtype).eps / 64
    reach = math.ceil(sigma * math.sqrt(-2.0 * math.log(smallest)))
    radius = min(kernel_side(image_side) // 2, reach)
    weights = [math.exp(-0.5 * (tap / sigma) ** 2) for tap in range(radius + 1)]
    total = 2.0 * sum(weights) - weights[0]
    return [weight / total for weight in weights]


def _convolve(padded: Tensor, half_kernel: Sequence[float], dim: int) -> Tensor:
    """Convolve along one axis by adding shifted images: on a CPU several times as fast as conv2d."""
    radius = len(half_kernel) - 1
    side = padded.shape[dim] - 2 * radius
    result = padded.narrow(dim, radius, side) * half_kernel[0]
    for tap, weight in enumerate(half_kernel[1:], start=1):
        pair = padded.narrow(dim, radius - tap, side) + padded.narrow(dim, radius + tap, side)
        result.add_(pair, alpha=weight)
    return result
