"""Pixel-wise cross entropy and accuracy as the published methods compute and log them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

IGNORE = 255
"""Label of pixels without a class."""


def resize_logits(logits: Tensor, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """Resize logits bilinearly to (H, W); logits that have the size already are returned as they are.

    Shape: float (B, C, h, w) to (B, C, H, W).
    """
    if tuple(logits.shape[2:]) == size:
        return logits
    pixelwise = logits.contiguous(memory_format=torch.channels_last)  # on a CPU a third of the time
    return functional.interpolate(pixelwise, size=size, mode="bilinear", align_corners=align_corners)


def labelled_cross_entropy(logits: Tensor, label: Tensor, ignore: int = IGNORE) -> Tensor:
    """Average the cross entropy over the labelled pixels of the batch; 0 if there is none.

    Shape: logits float (B, C, h, w), resized to the label first, and int64 (B, H, W) or (B, 1, H, W), values
    0..C-1, to a scalar, 0 or more; ignore and negative values are left out.

    Raises:
        ValueError: shapes do not fit together.

    Source: code of ADVENT, arXiv 1811.12833; docs/quirks.md#a34.
    """
    label = _without_channel(label, logits)
    label = label.masked_fill(label < 0, ignore)
    logits = resize_logits(logits, (label.shape[1], label.shape[2]))
    total = functional.cross_entropy(*_pixels(logits, label), ignore_index=ignore, reduction="sum")
    return total / (label != ignore).sum().clamp(min=1)


def weighted_cross_entropy(
    logits: Tensor, label: Tensor, weight: Tensor | None = None, ignore: int = IGNORE
) -> Tensor:
    """Average the weighted cross entropy over ALL pixels.

    loss = sum_i w_i * CE_i / (B * H * W), with CE_i = 0 at ignored pixels, which stay in the denominator. The
    weights are not normalised; without any, all are 1. Logits are resized to the label first
    (`resize_logits`).

    Shape: logits float (B, C, h, w), label int64 (B, H, W) or (B, 1, H, W), values 0..C-1 or ignore, and
    weight float (B, H, W), 0 or more, to a scalar, 0 or more.

    Raises:
        ValueError: shapes do not fit together.

    Source: DAFormer, arXiv 2111.14887, equations 1 and 2; docs/quirks.md#s21.
    """
    label = _without_channel(label, logits)
    logits = resize_logits(logits, (label.shape[1], label.shape[2]))
    if weight is None:
        total = functional.cross_entropy(*_pixels(logits, label), ignore_index=ignore, reduction="sum")
        return total / label.numel()
    if weight.shape != label.shape:
        raise ValueError(f"weight: expected shape {tuple(label.shape)}, got {tuple(weight.shape)}")
    loss = functional.cross_entropy(*_pixels(logits, label), ignore_index=ignore, reduction="none")
    return (loss * weight.flatten()).mean()


def pixel_accuracy(logits: Tensor, label: Tensor) -> Tensor:
    """Return the percentage of correctly classified pixels; ignored pixels count as wrong.

    Shape: logits float (B, C, h, w), resized to the label first, and int64 (B, H, W) or (B, 1, H, W), values
    0..C-1, anything else is ignored, to a float32 scalar, 0..100, without gradient.

    Raises:
        ValueError: shapes do not fit together.

    Source: docs/quirks.md#s22.
    """
    label = _without_channel(label, logits)
    predicted = resize_logits(logits.detach(), (label.shape[1], label.shape[2])).argmax(dim=1)
    return (predicted == label).sum().float() * (100.0 / label.numel())


def _pixels(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """All pixels in one row; logits from `resize_logits` are not copied for it.

    Shape: ``(B, C, H, W)`` and ``(B, H, W)`` to ``(B * H * W, C)`` and ``(B * H * W,)``.
    """
    return logits.movedim(1, -1).flatten(0, 2), label.flatten()


def _without_channel(label: Tensor, logits: Tensor) -> Tensor:
    flat = label.squeeze(1) if label.dim() == 4 else label
    if logits.dim() != 4 or flat.dim() != 3 or flat.shape[0] != logits.shape[0]:
        raise ValueError(
            f"expected logits (B, C, h, w) and label (B, H, W) or (B, 1, H, W), "
            f"got {tuple(logits.shape)} and {tuple(label.shape)}"
        )
    return flat
