"""Scores near the boundaries of objects: boundary IoU, IoU within bands around true boundaries.

All are pure functions of a map of true and one of predicted train ids; pixels whose truth is 255 (ignore) never count.
Counts are summed over the images of a split before anything is divided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from adaptbench.data.taxonomy import IGNORE
from adaptbench.evaluation.confusion import confusion_matrix
from adaptbench.records.confusion_files import Matrix

UInt8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

#: Width of the boundary of a mask, as a share of the image's diagonal. Source: Cheng et al., arXiv 2103.16562.
DILATION_RATIO = 0.02
#: Half widths of the bands around true boundaries that are scored. Units: pixels of the label file.
RADII = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Overlap:
    """How the boundaries of true and predicted masks overlap, per class. Shape: int64 ``(C,)`` each, in pixels."""

    intersection: Counts
    union: Counts

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(self.intersection + other.intersection, self.union + other.union)

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """Boundary IoU per class; NaN for one that has no boundary, true or predicted. Shape: ``(C,)``."""
        scores = np.full(len(self.union), np.nan)
        np.divide(self.intersection, self.union, out=scores, where=self.union > 0)
        return scores


def boundary_width(size: tuple[int, int], ratio: float = DILATION_RATIO) -> int:
    """Width of boundaries in an image of this height and width. Units: pixels."""
    return max(1, round(ratio * math.hypot(*size)))


def boundary_overlap(label: UInt8, prediction: UInt8, classes: int, width: int) -> Overlap:
    """Overlap of the boundaries of every class's true and predicted mask; `boundary_width` says how wide they are.

    Shape: label ``(H, W)`` train ids with 255 = ignore, prediction ``(H, W)``.

    Source: Cheng et al., Boundary IoU, CVPR 2021, arXiv 2103.16562, section 4.
    """
    valid = label != IGNORE
    intersection, union = np.zeros((2, classes), dtype=np.int64)
    for c in range(classes):
        masks = [(ids == c) & valid for ids in (label, prediction)]
        if any(mask.any() for mask in masks):
            truth, found = (inner_boundary(mask, width) for mask in masks)
            intersection[c] = np.count_nonzero(truth & found)
            union[c] = np.count_nonzero(truth | found)
    return Overlap(intersection, union)


def inner_boundary(mask: Mask, width: int) -> Mask:
    """Pixels of a mask that are at most ``width`` rows and columns away from its outside or the edge of the image.

    Shape: bool ``(H, W)``, unchanged.
    """
    kernel = np.ones((2 * width + 1, 2 * width + 1), dtype=np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    boundary: Mask = mask & ~inner.astype(bool)
    return boundary


def label_boundary(label: UInt8) -> Mask:
    """Pixels with another class to their left or right, above or below; ignored pixels are no class.

    Shape: ``(H, W)`` uint8 to bool.
    """
    boundary = np.zeros(label.shape, dtype=bool)
    for axis in (0, 1):
        first, second = (np.take(label, range(s, label.shape[axis] - 1 + s), axis=axis) for s in (0, 1))
        differ = (first != second) & (first != IGNORE) & (second != IGNORE)
        for start in (0, 1):
            part = [slice(None), slice(None)]
            part[axis] = slice(start, label.shape[axis] - 1 + start)
            boundary[tuple(part)] |= differ
    return boundary


def distance_to(mask: Mask) -> npt.NDArray[np.float32]:
    """Euclidean distance of every pixel to the nearest one of the mask; infinite if it is empty. Units: pixels."""
    if not mask.any():
        return np.full(mask.shape, np.inf, dtype=np.float32)
    return np.asarray(
        cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), dtype=np.float32
    )


def trimap_confusion(label: UInt8, prediction: UInt8, classes: int, radii: Sequence[int]) -> list[Matrix]:
    """Confusion matrices of the pixels within each radius of a true boundary.

    Shape: ``(H, W)`` uint8 each, to int64 ``(classes, classes)`` per radius.

    Source: Krähenbühl and Koltun, Dense CRF, arXiv 1210.5644, section 5 (accuracy near boundaries).
    """
    distance = distance_to(label_boundary(label))
    bands = [np.where(distance <= radius, label, IGNORE).astype(np.uint8) for radius in radii]
    return [confusion_matrix(band, prediction, classes) for band in bands]


@dataclass(frozen=True)
class BoundaryCounts:
    """Everything that is counted near the boundaries of images.

    Attributes:
        overlap: of the boundaries of masks.
        whole: confusion matrix of all pixels. Shape: int64 ``(C, C)``.
        bands: confusion matrices of the pixels within a distance of a true boundary, by the distance in pixels.
    """

    overlap: Overlap
    whole: Matrix
    bands: Mapping[int, Matrix]

    def __add__(self, other: BoundaryCounts) -> BoundaryCounts:
        bands = {radius: matrix + other.bands[radius] for radius, matrix in self.bands.items()}
        return BoundaryCounts(self.overlap + other.overlap, self.whole + other.whole, bands)

    @property
    def beyond(self) -> Matrix:
        """Confusion matrix of the pixels outside of the widest band. Shape: int64 ``(C, C)``."""
        rest: Matrix = self.whole - self.bands[max(self.bands)]
        return rest


def boundary_counts(
    label: UInt8, prediction: UInt8, classes: int, radii: Sequence[int] = RADII
) -> BoundaryCounts:
    """Counts of one image; boundaries of masks are as wide as `boundary_width` says.

    Shape: ``(H, W)`` uint8 each.
    """
    width = boundary_width((label.shape[0], label.shape[1]))
    matrices = trimap_confusion(label, prediction, classes, radii)
    return BoundaryCounts(
        overlap=boundary_overlap(label, prediction, classes, width),
        whole=confusion_matrix(label, prediction, classes),
        bands=dict(zip(radii, matrices, strict=True)),
    )
