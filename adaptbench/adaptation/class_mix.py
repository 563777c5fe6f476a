"""ClassMix: paste the pixels of half of the source classes into target images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

ClassIds = npt.NDArray[np.int64]

_LABEL_VALUES = 256


class Mixed(NamedTuple):
    """A mixed batch.

    Shape:
        - image: float (B, C, H, W), in the range of the mixed images.
        - label: int64 (B, 1, H, W), class indices; 255 where an ignored source pixel was pasted.
        - weight: float32 (B, H, W), 1 for pasted pixels (also where the label is 255), else the target's.
        - mask: bool (B, 1, H, W), true where the source was pasted.
    """

    image: Tensor
    label: Tensor
    weight: Tensor
    mask: Tensor


def candidate_classes(labels: Tensor) -> ClassIds:
    """List the label values that occur in a batch, sorted, 255 included. Shape: any to int64 (n,).

    Raises:
        ValueError: a value lies outside 0..255.

    Source: docs/quirks.md#s35.
    """
    try:
        counts = torch.bincount(labels.reshape(-1), minlength=_LABEL_VALUES)
    except RuntimeError as error:
        raise ValueError(f"labels: expected integers in 0..255, got {labels.dtype} below 0") from error
    if counts.numel() > _LABEL_VALUES:
        raise ValueError(f"labels: expected values in 0..255, got {counts.numel() - 1}")
    present: ClassIds = np.flatnonzero(counts.cpu().numpy()).astype(np.int64)
    return present


def draw_classes(labels: Tensor, generator: np.random.Generator) -> list[ClassIds]:
    """Choose the classes to paste, for every sample of a batch.

    For each sample ceil(n/2) of the n values of the WHOLE batch are drawn without replacement, 255 included.
    A class may be absent from the sample it was drawn for.

    Shape: integer labels (B, 1, H, W) in 0..255 to B arrays, int64 (ceil(n/2),), in drawing order.

    Source: DACS, arXiv 2007.08702, section 3 and ClassMix, arXiv 2007.07936; docs/quirks.md#s35.
    """
    candidates = candidate_classes(labels)
    number = (len(candidates) + 1) // 2
    return [
        candidates[generator.choice(len(candidates), number, replace=False)] for _ in range(labels.shape[0])
    ]


def class_mask(labels: Tensor, classes: Sequence[npt.NDArray[np.integer[Any]]]) -> Tensor:
    """Mark the pixels whose label is among the classes chosen for their sample.

    Shape: integer labels (B, 1, H, W) in 0..255 and B integer arrays, maybe empty, to bool (B, 1, H, W).

    Raises:
        ValueError: the number of choices differs from the batch size.

    Source: DACS, arXiv 2007.08702, section 3; docs/quirks.md#s35 and #s36.
    """
    if len(classes) != labels.shape[0]:
        raise ValueError(f"classes: expected {labels.shape[0]} choices, one per sample, got {len(classes)}")
    chosen = torch.zeros(len(classes), _LABEL_VALUES, dtype=torch.bool)
    for row, ids in zip(chosen, classes, strict=True):
        row[torch.as_tensor(ids, dtype=torch.int64)] = True
    table = chosen.to(labels.device)
    return torch.stack([row[label.long()] for row, label in zip(table, labels, strict=True)])


def mix(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Take the source where the mask is true and the target elsewhere.

    Shape: mask bool or 0/1 integer (B, 1, H, W); both others (B, C, H, W), or (B, H, W) for weights and
    labels without channel, of equal dtypes.

    Raises:
        ValueError: the shapes of source and target differ.

    Source: DACS, arXiv 2007.08702, section 3 and algorithm 1.
    """
    if source.shape != target.shape:
        raise ValueError(f"source {tuple(source.shape)} and target {tuple(target.shape)} differ in shape")
    where = mask.bool() if source.dim() == 4 else mask.bool().squeeze(1)
    return torch.where(where, source, target)


def class_mix(
    source_image: Tensor,
    source_label: Tensor,
    target_image: Tensor,
    pseudo_label: Tensor,
    pseudo_weight: Tensor,
    classes: Sequence[npt.NDArray[np.integer[Any]]],
) -> Mixed:
    """Paste the chosen source classes into the target images, their labels and their weights.

    Pasted pixels weigh 1, also where the pasted label is 255; all others keep their pseudo-label weight.

    Shape:
        - source_image, target_image: float (B, C, H, W), normalised in the same way.
        - source_label: int64 (B, 1, H, W), class indices, 255 = ignore.
        - pseudo_label, pseudo_weight: int64 and float32 (B, H, W).
        - classes: B integer arrays, see `draw_classes`.

    Source: DACS, arXiv 2007.08702, section 3; DAFormer, arXiv 2111.14887, section 3.1; docs/quirks.md#s36.
    """
    mask = class_mask(source_label, classes)
    return Mixed(
        image=mix(mask, source_image, target_image),
        label=mix(mask, source_label, pseudo_label.unsqueeze(1)),
        weight=mix(mask, torch.ones_like(pseudo_weight), pseudo_weight),
        mask=mask,
    )
