"""Feature distance: keep the student's features of things close to those of the ImageNet encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from adaptbench.adaptation.seg_loss import IGNORE


class FeatureDistance(NamedTuple):
    """Distance on one scale, before the loss weight.

    Shape:
        - value: float scalar, 0 or more; NaN (with zero gradient) where no block counts.
        - coarse_label: int64 (B, 1, h, w), class indices, 255 = no class; None if every position counts.
        - mask: bool (B, 1, h, w), the positions that count; None if every position counts.
    """

    value: Tensor
    coarse_label: Tensor | None
    mask: Tensor | None


def downscale_label(
    label: Tensor, factor: int, min_ratio: float, num_classes: int, ignore: int = IGNORE
) -> Tensor:
    """Give each block of a label the class of its majority, if that is large enough.

    The ignore value competes like a class and loses ties to all of them; otherwise ties go to the lower
    class. A block without a class, or whose largest class covers less than ``min_ratio`` (0.75 in the papers)
    of ALL its pixels, becomes ignored. Rows and columns beyond the last full block are dropped.

    Shape: int64 (B, 1, H, W), values 0..C-1 or ignore, to (B, 1, H // factor, W // factor).

    Raises:
        ValueError: the label is not (B, 1, H, W), holds other values, or the factor is below 2.

    Source: DAFormer, arXiv 2111.14887, thing-class feature distance (section 3.3); docs/quirks.md#s42.
    """
    if label.dim() != 4 or label.shape[1] != 1:
        raise ValueError(f"label: expected (B, 1, H, W), got shape {tuple(label.shape)}")
    if factor < 2:
        raise ValueError(f"factor: expected blocks of 2 or more pixels, got {factor}")
    counts = _count_in_blocks(label, factor, num_classes, ignore)
    largest, winner = counts.max(dim=-1)
    # The share as a float32, as compared in the reference: 7 of 10 pixels pass 0.7.
    none = (winner == num_classes) | (largest.float() / factor**2 < min_ratio)
    return winner.masked_fill(none, ignore)


def thing_mask(coarse_label: Tensor, classes: Sequence[int]) -> Tensor:
    """Mark the blocks whose class is among the given ones. Shape: int64 (B, 1, h, w) to bool.

    Source: DAFormer, arXiv 2111.14887, thing-class feature distance (section 3.3).
    """
    return torch.isin(coarse_label, torch.tensor(classes, device=coarse_label.device))


def masked_distance(student: Tensor, imagenet: Tensor, mask: Tensor | None = None) -> Tensor:
    """Average the channel L2 norm of the feature difference over the positions of a mask.

    An empty mask gives NaN, which is what is logged, and a gradient of exactly zero.

    Shape: features float (B, C, h, w), through which gradients flow where they require them, and mask bool
    (B, 1, h, w), None = all positions, to a scalar.

    Raises:
        ValueError: the shapes do not fit together.

    Source: DAFormer, arXiv 2111.14887, thing-class feature distance (section 3.3); docs/quirks.md#s41 and #s43.
    """
    if student.shape != imagenet.shape:
        raise ValueError(
            f"features differ in shape: student {tuple(student.shape)}, ImageNet {tuple(imagenet.shape)}"
        )
    distance: Tensor = torch.linalg.vector_norm(student - imagenet, dim=1)
    if mask is None:
        return distance.mean()
    if mask.shape != (student.shape[0], 1, *student.shape[2:]):
        raise ValueError(f"mask {tuple(mask.shape)} does not fit features {tuple(student.shape)}")
    # No boolean indexing: it would make the CPU wait for the GPU.
    total = torch.where(mask.squeeze(1), distance, 0.0).sum()
    number = mask.sum()
    return torch.where(number > 0, total / number.clamp(min=1), total * 0 + torch.nan)


def feature_distance(
    student: Tensor,
    imagenet: Tensor,
    label: Tensor,
    classes: Sequence[int] | None,
    min_ratio: float,
    num_classes: int,
) -> FeatureDistance:
    """Return the distance of the last features at the blocks of some classes.

    In the papers they are the things; None counts every position. The blocks have a side of label width //
    feature width: 32 for one scale, 64 for the context scale of HRDA.

    Shape:
        - student: float (B, C, h, w), of the source pass, not detached.
        - imagenet: float (B, C, h, w), of the frozen ImageNet encoder in eval mode for the same input.
        - label: int64 (B, 1, H, W) of the same region, class indices, 255 = ignore.

    Source: DAFormer, arXiv 2111.14887, section 3.3; HRDA, arXiv 2204.13132; docs/quirks.md#s41 to #s43.
    """
    if classes is None:
        return FeatureDistance(masked_distance(student, imagenet), None, None)
    coarse_label = downscale_label(label, label.shape[-1] // student.shape[-1], min_ratio, num_classes)
    mask = thing_mask(coarse_label, classes)
    return FeatureDistance(masked_distance(student, imagenet, mask), coarse_label, mask)


def feature_distance_loss(distances: Sequence[FeatureDistance], weight: float) -> Tensor:
    """Add the distances of all scales (they are not averaged) and weight the sum (by 0.005 in the papers).

    A scale without any counting block makes the value NaN; the gradients of the others stay.

    Raises:
        ValueError: there is no distance.

    Source: DAFormer, arXiv 2111.14887, section 3.3; docs/quirks.md#s44.
    """
    if not distances:
        raise ValueError("distances: expected one per scale, got none")
    return torch.stack([distance.value for distance in distances]).sum() * weight


def _count_in_blocks(label: Tensor, factor: int, num_classes: int, ignore: int) -> Tensor:
    """Count the pixels of every class, and last the ignored ones, in blocks: int64 (B, 1, h, w, C + 1)."""
    rows, columns = label.shape[2] // factor, label.shape[3] // factor
    full = label[..., : rows * factor, : columns * factor]
    values = torch.where(full == ignore, num_classes, full)
    grid = values.reshape(-1, 1, rows, factor, columns, factor).transpose(3, 4)
    blocks = grid.reshape(-1, 1, rows, columns, factor * factor)
    counts = torch.zeros(*blocks.shape[:-1], num_classes + 1, dtype=torch.int32, device=label.device)
    try:
        return counts.scatter_add_(-1, blocks, torch.ones_like(blocks, dtype=torch.int32))
    except RuntimeError as error:
        expected = f"int64 values 0..{num_classes - 1} or {ignore}"
        raise ValueError(f"label: expected {expected} ({error})") from error
