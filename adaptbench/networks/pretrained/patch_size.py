"""A vision transformer's weights for patches of another size, as the papers convert DINOv2's from 14 pixels to 16.

Source: code of Rein, arXiv 2312.04265, and of SoMA, arXiv 2412.04077; docs/quirks.md#r11.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_Size = tuple[int, int]


def resized_kernel(kernel: Tensor, side: int) -> Tensor:
    """The kernel that embeds patches, for patches of another size; values are not rescaled.

    Shape: ``(channels, 3, s, s)`` to ``(channels, 3, side, side)``.
    """
    return _bicubic(kernel, (side, side))


def resized_positions(positions: Tensor, grid: _Size, passed: int = 1) -> Tensor:
    """Positions of a square grid, for another grid; the first ``passed``, like the class token's, stay.

    Shape: ``(1, passed + n * n, channels)`` to ``(1, passed + h * w, channels)``, row by row.
    """
    side = round((positions.shape[1] - passed) ** 0.5)
    square = positions[:, passed:].transpose(1, 2).reshape(1, -1, side, side)
    moved = _bicubic(square, grid).flatten(2).transpose(1, 2)
    return torch.cat([positions[:, :passed], moved], dim=1)


def _bicubic(maps: Tensor, size: _Size) -> Tensor:
    """Without antialiasing."""
    return functional.interpolate(maps, size, mode="bicubic", align_corners=False)
