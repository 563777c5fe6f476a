"""CutMix: a box from one batch of labelled images is pasted into another batch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class CutDraw:
    """The random part of a CutMix, one for a whole batch.

    Attributes:
        swapped: whether the box comes from the first batch and the rest from the second; otherwise the other way round.
        share: share of the pixels outside of the box, before the box is cut off at the borders.
        row, column: middle of the box.
    """

    swapped: bool
    share: float
    row: int
    column: int


class Box(NamedTuple):
    """Rows and columns."""

    rows: slice
    columns: slice


def draw_cut(size: tuple[int, int], generator: np.random.Generator) -> CutDraw:
    """Draws a CutMix of images of this height and width: the share is uniform.

    Source: CutMix, arXiv 1905.04899, section 3.1 (alpha 1), one box per batch as in PixMatch.
    """
    swapped, share = bool(generator.random() > 0.5), float(generator.beta(1.0, 1.0))
    return CutDraw(swapped, share, int(generator.integers(size[0])), int(generator.integers(size[1])))


def cut_box(size: tuple[int, int], draw: CutDraw) -> Box:
    """The box in images of this height and width, cut off at their borders."""
    sides = [int(length * math.sqrt(1.0 - draw.share)) for length in size]
    ranges = [
        slice(max(middle - side // 2, 0), min(middle + side // 2, length))
        for middle, side, length in zip((draw.row, draw.column), sides, size, strict=True)
    ]
    return Box(*ranges)


class LabelledBatch(NamedTuple):
    """Images float ``(B, 3, H, W)`` and labels int64 ``(B, 1, H, W)``."""

    image: Tensor
    label: Tensor


def cut_mix(first: LabelledBatch, second: LabelledBatch, draw: CutDraw) -> LabelledBatch:
    """The mixed images and labels, at the size of the second batch.

    Source: docs/quirks.md#b24 (the first batch is the target, with pseudo-labels).
    """
    size = (second.image.shape[2], second.image.shape[3])
    first = _resized(first, size)
    mask = torch.zeros(1, 1, *size, dtype=torch.bool, device=second.image.device)
    mask[:, :, *cut_box(size, draw)] = True
    patch, background = (first, second) if draw.swapped else (second, first)
    return LabelledBatch(*(torch.where(mask, *pair) for pair in zip(patch, background, strict=True)))


def _resized(batch: LabelledBatch, size: tuple[int, int]) -> LabelledBatch:
    if (batch.image.shape[2], batch.image.shape[3]) == size:
        return batch
    image = functional.interpolate(batch.image, size=size, mode="bicubic", align_corners=False)
    label = functional.interpolate(batch.label.float(), size=size, mode="nearest").long()
    return LabelledBatch(image, label)
