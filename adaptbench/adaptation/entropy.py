"""How uncertain a prediction is: self-information per class, and its sum, the entropy."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Keeps the logarithm of a probability of 0 finite; p * log2(p + epsilon) is 0 there.
_EPSILON = 1e-30


def self_information(probability: Tensor) -> Tensor:
    """Return the weighted self-information -p * log2(p) / log2(C) of every class.

    The map has as many channels as there are classes; their sum is the entropy in units of its maximum.

    Shape: float (B, C, H, W) of probabilities that add up to 1 per pixel, to the same, 0 or more.

    Raises:
        ValueError: another number of dimensions, or a single class.

    Source: ADVENT, arXiv 1811.12833, section 3.2; divided by log2(C) as in its code.
    """
    if probability.dim() != 4 or probability.shape[1] < 2:
        raise ValueError(
            f"probability: expected (B, C, H, W) with 2 classes or more, got {tuple(probability.shape)}"
        )
    return probability * torch.log2(probability + _EPSILON) / -math.log2(probability.shape[1])


def entropy_loss(probability: Tensor) -> Tensor:
    """Return the entropy of the class probabilities, averaged over all pixels.

    Shape: float (B, C, H, W), as in `self_information`, to a scalar, 0 (certain) to 1 (uniform).

    Source: ADVENT, arXiv 1811.12833, equations 2 and 3.
    """
    return self_information(probability).sum(dim=1).mean()
