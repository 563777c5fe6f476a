"""Scores as FADA's evaluator computes them: classes that never occur count as 0. Nothing here is ever ranked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaptbench.evaluation.metrics import Counts

Scores = npt.NDArray[np.float64]

#: Added to every denominator, which makes a class that never occurs 0 where `metrics.iou` leaves it out.
_EPSILON = 1e-10


@dataclass(frozen=True)
class FadaScores:
    """Scores of a confusion matrix whose rows are the truth.

    Shape: matrix ``(C, C)``.

    Units: 0..1.
    """

    matrix: Counts

    @property
    def iou(self) -> Scores:
        """Intersection over union per class. Shape: ``(C,)``."""
        counts = self.matrix.astype(np.int64)
        union = counts.sum(axis=0) + counts.sum(axis=1) - np.diagonal(counts)
        scores: Scores = np.diagonal(counts) / (union + _EPSILON)
        return scores

    @property
    def class_accuracy(self) -> Scores:
        """Share of the pixels of every class that are right. Shape: ``(C,)``."""
        counts = self.matrix.astype(np.int64)
        scores: Scores = np.diagonal(counts) / (counts.sum(axis=1) + _EPSILON)
        return scores

    @property
    def miou(self) -> float:
        """Mean of `iou` over all classes."""
        return float(self.iou.mean())

    @property
    def mean_accuracy(self) -> float:
        """Mean of `class_accuracy` over all classes."""
        return float(self.class_accuracy.mean())

    @property
    def accuracy(self) -> float:
        """Share of all labelled pixels that are right."""
        return float(np.trace(self.matrix) / (self.matrix.sum() + _EPSILON))
