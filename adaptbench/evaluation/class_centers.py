"""Class Center Distance: how compact the features of a class are, compared with its distance to others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional

from adaptbench.data.taxonomy import IGNORE

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassMoments:
    """What is kept of the features of pixels, by class.

    Attributes:
        count: pixels. Shape: ``(C,)``.
        total: sum of their features. Shape: ``(C, D)``.
        squares: sum of the squared lengths of their features. Shape: ``(C,)``.
    """

    count: Float
    total: Float
    squares: Float

    def __add__(self, other: Self) -> ClassMoments:
        return ClassMoments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def center(self) -> Float:
        """Mean feature of each class, NaN where it has no pixel. Shape: ``(C, D)``."""
        return _quotient(self.total, self.count[:, None])

    @property
    def spread(self) -> Float:
        """Mean squared distance of its pixels to the center of each class. Shape: ``(C,)``."""
        difference: Float = _quotient(self.squares, self.count) - (self.center**2).sum(axis=1)
        return np.maximum(difference, 0.0)  # below zero by rounding; NaN stays

    @property
    def between(self) -> Float:
        """Squared distances between the centers of classes. Shape: ``(C, C)``."""
        center = self.center
        return np.stack([((center - own) ** 2).sum(axis=1) for own in center])


def class_moments(features: Tensor, label: Tensor, num_classes: int) -> ClassMoments:
    """Moments of a batch of feature maps.

    Shape:
        - features: float ``(B, D, h, w)``.
        - label: train ids, integer ``(B, h, w)``; 255 = ignore.
    """
    pixels = features.detach().movedim(1, -1).flatten(0, -2).double()
    ids = label.flatten().long()
    known = ids != IGNORE
    pixels, member = pixels[known], functional.one_hot(ids[known], num_classes).T.double()
    parts = (member.sum(dim=1), member @ pixels, member @ pixels.square().sum(dim=1))
    return ClassMoments(*(part.cpu().numpy() for part in parts))


def class_center_distance(moments: ClassMoments) -> Float:
    """Spread of each class divided by its squared distance to another center, averaged over the other classes.

    Lower is better. A class without pixels has no distance (NaN) and does not enter those of the others.

    Shape: ``(C,)``.

    Source: FADA, arXiv 2007.09222, section 4.4. Its authors' code has no implementation; recorded values are computed
        from the definition.
    """
    between = moments.between
    np.fill_diagonal(between, np.nan)
    return _mean(_quotient(moments.spread[:, None], between))


def _quotient(values: Float, by: Float) -> Float:
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: Float = values / by
    return quotient


def _mean(rows: Float) -> Float:
    """Mean of every row without its NaNs; NaN where nothing is left."""
    known = ~np.isnan(rows)
    return _quotient(np.where(known, rows, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))
