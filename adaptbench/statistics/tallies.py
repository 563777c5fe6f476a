"""Scores of many resamples at once, from per-image counts: one product of weights and counts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adaptbench.statistics.resampling import Weights

Floats = npt.NDArray[np.floating]


def tally(matrices: npt.NDArray[np.integer]) -> Floats:
    """Pixels hit and pixels in the union, per image and class: all that an IoU needs of a confusion matrix.

    Whole numbers below 2**53, so that their weighted sums are exact in any order.

    Shape: ``(N, C, C)`` in, ``(N, 2, C)`` out.
    """
    counts = matrices.astype(np.int64)
    hits = np.einsum("ncc->nc", counts)
    union = counts.sum(axis=1) + counts.sum(axis=2) - hits
    return np.stack([hits, union], axis=1).astype(np.float64)


def resampled_iou(weights: Weights, tallies: Floats) -> Floats:
    """IoU per class of every seed in every resample, in percent; NaN where a class does not occur.

    Shape: how often each image counts ``(B, N)`` and tallies per seed ``(S, N, 2, C)`` to ``(B, S, C)``.
    """
    seeds, images, _, classes = tallies.shape
    flat = tallies.transpose(1, 2, 0, 3).reshape(images, 2 * seeds * classes)
    hits, union = np.split((weights @ flat).reshape(len(weights), 2 * seeds, classes), 2, axis=1)
    with np.errstate(invalid="ignore"):
        iou: Floats = hits / union
    iou *= 100
    return iou
