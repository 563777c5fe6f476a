"""Scores: pure functions of a confusion matrix summed over the images of a split.

Notation: M is the matrix, M[i, j] the number of pixels of true class i predicted as j; ignored pixels
are not in it. Counts are integers up to the one division that makes a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from adaptbench.contracts.benchmark import AbsentClasses
from adaptbench.data.taxonomy import ClassSet
from adaptbench.errors import DataError
from adaptbench.records.average import Average
from adaptbench.records.record import Score

Counts = npt.NDArray[np.integer]


def iou(matrix: Counts) -> npt.NDArray[np.float64]:
    """Intersection over union per class: M[c, c] / (sum M[c, :] + sum M[:, c] - M[c, c]).

    A class that occurs in neither truth nor prediction has none (NaN); one that is only predicted,
    or never hit, has 0. Which of them count in a mean is another question: `Average`.

    Shape: ``(C,)``, 0..1 or NaN.

    Source: Cityscapes and mmsegmentation convention.

    Example:
        >>> import numpy as np
        >>> iou(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])).tolist()
        [0.75, 0.8, nan]
    """
    return np.asarray(Average(absent="skip").iou_of(matrix))


def miou(matrix: Counts) -> float:
    """Mean of `iou` over the classes that occur in the truth; NaN when there is none.

    Example:
        >>> import numpy as np
        >>> miou(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
        0.775
        >>> miou(np.array([[3, 0, 1], [0, 4, 0], [0, 0, 0]]))  # the last class is only predicted
        0.875
    """
    return Average().miou(matrix)


def accuracy(matrix: Counts) -> float:
    """Share of labelled pixels that are predicted correctly: trace M / sum M; NaN when no pixel is labelled.

    Shape: ``(C, C)``, or ``(C, C + 1)`` where void may be predicted.

    Example:
        >>> import numpy as np
        >>> accuracy(np.array([[3, 1], [0, 4]]))
        0.875
    """
    counts = matrix.astype(np.int64)
    pixels = int(counts.sum())
    return int(np.trace(counts)) / pixels if pixels else float("nan")


def frequency_weighted_iou(matrix: Counts) -> float:
    """Mean of `iou` weighted by the number of pixels of each class; NaN when no pixel is labelled.

    Source: Long, Shelhamer, Darrell, CVPR 2015, arXiv 1411.4038, section 5.

    Example:
        >>> import numpy as np
        >>> frequency_weighted_iou(np.array([[3, 1], [0, 4]]))
        0.775
    """
    true = matrix.astype(np.int64).sum(axis=1)
    scores = np.nan_to_num(iou(matrix))
    return float((true * scores).sum() / true.sum()) if true.any() else float("nan")


def mean_class_accuracy(matrix: Counts, averaged: Sequence[int] | None = None) -> float:
    """Mean over the labelled classes of the share of their pixels that is right; NaN when no pixel is labelled.

    Over those with a train id in ``averaged``; None = all.

    Shape: ``(C, C)``, or ``(C, C + 1)`` where void may be predicted.

    Example:
        >>> import numpy as np
        >>> mean_class_accuracy(np.array([[3, 1], [0, 4]]))
        0.875
    """
    counts = matrix.astype(np.int64)
    true = counts.sum(axis=1)
    labelled = true > 0
    if averaged is not None:
        labelled &= np.isin(np.arange(len(true)), averaged)
    return float((np.diagonal(counts)[labelled] / true[labelled]).mean()) if labelled.any() else float("nan")


def per_image_miou(matrices: Counts, classes: int | None = None) -> npt.NDArray[np.float64]:
    """Mean IoU of every image over the classes that are labelled in it; NaN for an image without labels.

    Shape: ``(N, C, C)``, or with void behind that many ``classes``, to ``(N,)``, 0..1 or NaN.

    Example:
        >>> import numpy as np
        >>> per_image_miou(np.array([[[3, 1], [0, 0]], [[0, 0], [0, 0]]])).tolist()
        [0.75, nan]
    """
    average = Average()
    return np.asarray(average.mean(average.iou_of(matrices, classes)), dtype=np.float64)


def score(
    matrix: Counts,
    class_set: ClassSet,
    *,
    split: str,
    provenance: Literal["generated", "official"],
    images: int,
    absent: AbsentClasses = "labelled",
) -> Score:
    """The record's entry for one split; a class that does not count in the mean has no IoU in it.

    A matrix may have a last row and column for void (`adaptbench.evaluation.confusion.confusion_with_void`).

    Units: percent, not rounded.

    Raises:
        DataError: the matrix does not fit the class set, or no pixel is labelled.
    """
    classes = len(class_set)
    if matrix.shape not in ((classes, classes), (classes + 1, classes + 1)):
        raise DataError(
            f"{split}: a matrix of shape {matrix.shape} cannot be scored in {class_set.name!r} "
            f"with {classes} classes."
        )
    labelled = matrix[:classes]
    if not labelled.any():
        raise DataError(
            f"{split}: not one labelled pixel in {images} images, so there is nothing to score. Check the "
            f"label files and that their ids belong to the class set {class_set.name!r}."
        )
    average = Average(class_set.averaged, absent)
    scores = average.iou_of(matrix, classes)
    per_class = (None if np.isnan(value) else 100 * float(value) for value in scores)
    return Score(
        split=split,
        provenance=provenance,
        class_set=class_set.name,
        images=images,
        miou=100 * float(average.mean(scores)),
        iou=dict(zip(class_set.classes, per_class, strict=True)),
        accuracy=100 * accuracy(labelled),
    )
