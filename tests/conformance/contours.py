"""Boundary F-score: how well the contours of predicted masks match the true ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from adaptbench.data.taxonomy import IGNORE
from adaptbench.evaluation.boundary import Mask, UInt8, distance_to


def contour(mask: Mask) -> Mask:
    """Pixels of a mask that touch its outside within the image, by an edge. Shape: bool ``(H, W)``, unchanged."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inner = cv2.erode(mask.astype(np.uint8), cross, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    outline: Mask = mask & ~inner.astype(bool)
    return outline


@dataclass(frozen=True)
class ContourMatch:
    """How many pixels of the contours of a class lie near the other map's contour."""

    found_near: int
    found: int
    true_near: int
    true: int

    @property
    def precision(self) -> float:
        """Share of the predicted contour that lies near the true one; NaN where there is none."""
        return self.found_near / self.found if self.found else math.nan

    @property
    def recall(self) -> float:
        """Share of the true contour that lies near the predicted one; NaN where there is none."""
        return self.true_near / self.true if self.true else math.nan

    @property
    def f_score(self) -> float:
        """Harmonic mean of both; 0 if nothing is near."""
        if not self.found_near or not self.true_near:
            return 0.0
        return 2 * self.precision * self.recall / (self.precision + self.recall)


def contour_match(label: UInt8, prediction: UInt8, class_id: int, tolerance: float) -> ContourMatch:
    """Compares the contours of the true and the predicted mask of a class.

    Shape: ``(H, W)`` uint8 each. Units: the tolerance is in pixels.

    Source: Perazzi et al., DAVIS, CVPR 2016, section 4 (contour accuracy), with Euclidean distances.
    """
    valid = label != IGNORE
    truth, found = (contour(ids == class_id) & valid for ids in (label, prediction))
    near_found = found & (distance_to(truth) <= tolerance)
    near_truth = truth & (distance_to(found) <= tolerance)
    return ContourMatch(*(int(np.count_nonzero(m)) for m in (near_found, found, near_truth, truth)))
