"""Counts of many resamples at once, from those of every image: one product of weights and counts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adaptbench.statistics.resampling import Weights

Floats = npt.NDArray[np.floating]


def tally(matrices: npt.NDArray[np.integer], classes: int | None = None) -> Floats:
    """Pixels hit, in the union and in the truth, per image and class: all that a mean IoU needs of a confusion matrix.

    Whole numbers below 2**53, so that their weighted sums are exact in any order.

    Shape: ``(N, C, C)`` in, ``(N, 3, C)`` out, or ``(N, 3, classes)`` where void comes behind the classes.
    """
    counts = matrices.astype(np.int64)
    hits = np.einsum("ncc->nc", counts)
    truth = counts.sum(axis=2)
    return np.stack([hits, counts.sum(axis=1) + truth - hits, truth], axis=1)[..., :classes].astype(
        np.float64
    )


def resampled(weights: Weights, tallies: Floats) -> Floats:
    """Tallies of every seed in every resample.

    Shape: how often each image counts ``(B, N)`` and tallies per seed ``(S, N, 3, C)`` to ``(B, S, 3, C)``.
    """
    seeds, images, parts, classes = tallies.shape
    flat = tallies.transpose(1, 0, 2, 3).reshape(images, seeds * parts * classes)
    return np.asarray((weights @ flat).reshape(len(weights), seeds, parts, classes))
