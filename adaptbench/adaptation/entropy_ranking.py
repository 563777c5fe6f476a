"""Ranking of unlabelled images by how certain a network is of them, and their split into easy and hard ones."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import numpy as np
from torch import Tensor

from adaptbench.adaptation.entropy import self_information
from adaptbench.data.taxonomy import ClassSet

#: Classes that IntraDA calls rare, by their names in Cityscapes; ``sign`` is CamVid's name of two of them.
RARE = frozenset(
    (
        "wall", "fence", "pole", "traffic light", "traffic sign", "terrain", "rider", "truck", "bus", "train",
        "motorcycle", "sign",
    )
)  # fmt: skip


def rare_classes(classes: ClassSet) -> frozenset[int]:
    """Return the train ids of the rare classes."""
    return frozenset(index for index, name in enumerate(classes.classes) if name in RARE)


def seen_classes(label: Tensor) -> set[int]:
    """Return the train ids in a label, of any shape."""
    return set(np.unique(label.numpy()).tolist())


def uncertainty(logits: Tensor) -> float:
    """Return the mean self-information of an image, over all pixels and channels.

    It is the entropy averaged over the pixels and divided by the number of classes, which does not change the
    order.

    Shape: logits float ``(1, C, H, W)`` to 0 (certain) to 1 / C (uniform).

    Source: IntraDA, arXiv 2004.07703, section 3.2, equation 4; the mean over channels is that of its code.
    """
    return float(self_information(logits.softmax(dim=1)).mean())


def rare_class_factor(label: Tensor, rare: AbstractSet[int]) -> float:
    """Return the factor on the uncertainty that makes images with rare classes easier.

    It is (R - r) / R + 0.5 with R rare classes, r of them in the predicted label: 0.5 (all) to 1.5 (none),
    and 1 where there is no rare class at all.

    Source: IntraDA, its released code; the paper calls it entropy normalisation.
    """
    if not rare:
        return 1.0
    return (len(rare) - len(seen_classes(label) & rare)) / len(rare) + 0.5


def ranked(scores: Mapping[str, float]) -> list[str]:
    """Return the names by ascending score; equal scores stay in the order in which they are given."""
    return sorted(scores, key=lambda name: scores[name])


def easy_count(images: int, share: float) -> int:
    """Return how many images are easy: ``share`` of all, rounded down; 1993 of 2975 with 0.67."""
    return int(images * share)
