"""Confusion matrices: exact counts of one image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from adaptbench.contracts.benchmark import VoidRule
from adaptbench.data.taxonomy import IGNORE
from adaptbench.errors import DataError
from adaptbench.records.confusion_files import Matrix

#: A histogram bin of OpenCV is a float32, which is exact up to this count.
_EXACT = 2**24


def confusion_matrix(
    label: npt.NDArray[np.uint8], prediction: npt.NDArray[np.integer], num_classes: int
) -> Matrix:
    """Counts how often a pixel of true class i was predicted as class j, over labelled pixels.

    One joint histogram of the 256 x 256 possible pairs gives the counts and shows at once whether any
    value is out of range. Pixels whose label is 255 (ignore) are dropped, whatever was predicted there.

    Shape: ``(num_classes, num_classes)`` int64; rows are the truth, columns the prediction.

    Args:
        label: train ids, ``0..num_classes-1`` or 255. Shape: ``(H, W)`` uint8.
        prediction: predicted train ids, ``0..num_classes-1``. Shape: ``(H, W)``, any integer type.
        num_classes: size of the class set, at most 255.

    Raises:
        DataError: the shapes differ, a label is neither a class nor 255, or a labelled pixel's
            prediction is no class. (Public evaluators differ in what such pixels count as; here they
            are mistakes of the caller.)

    Example:
        >>> import numpy as np
        >>> label = np.array([[0, 0, 1, 255]], dtype=np.uint8)
        >>> confusion_matrix(label, np.array([[0, 1, 1, 0]]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    pairs = _joint(label, prediction)
    _require_classes(pairs, num_classes, range(num_classes))
    return pairs[:num_classes, :num_classes].copy()


def predicted_on_void(
    label: npt.NDArray[np.uint8], prediction: npt.NDArray[np.integer], num_classes: int
) -> npt.NDArray[np.int64]:
    """Counts how often each class was predicted where the label is 255; what is no class is left out.

    Shape: ``(H, W)`` each to ``(num_classes,)`` int64.

    Example:
        >>> import numpy as np
        >>> predicted_on_void(np.array([[0, 255, 255]], np.uint8), np.array([[0, 1, 1]]), 3).tolist()
        [0, 2, 0]
    """
    return np.bincount(prediction[label == IGNORE], minlength=num_classes)[:num_classes]


def confusion_with_void(
    label: npt.NDArray[np.uint8], prediction: npt.NDArray[np.integer], num_classes: int, ignore: VoidRule
) -> Matrix:
    """The same with a last row and a last column for void: what is no class in the truth, or is predicted as none.

    A pixel of a class that is predicted as void is missed. The last row is empty where ``ignore`` is ``drop``.

    Shape: ``(num_classes + 1, num_classes + 1)`` int64.

    Args:
        label: as above.
        prediction: predicted train ids, ``0..num_classes-1`` or 255. Shape: ``(H, W)``, any integer type.
        num_classes: as above.
        ignore: see `adaptbench.contracts.benchmark.Protocol`.

    Raises:
        DataError: as above.

    Example:
        >>> import numpy as np
        >>> label = np.array([[0, 0, 1, 255]], dtype=np.uint8)
        >>> confusion_with_void(label, np.array([[0, 255, 1, 1]]), 2, "count").tolist()
        [[1, 0, 1], [0, 1, 0], [0, 1, 0]]
        >>> confusion_with_void(label, np.array([[0, 255, 1, 1]]), 2, "drop").tolist()
        [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    """
    pairs, ids = _joint(label, prediction), [*range(num_classes), IGNORE]
    _require_classes(pairs, num_classes, ids)
    counts: Matrix = pairs[np.ix_(ids, ids)]
    if ignore == "drop":
        counts[-1] = 0
    return counts


def _joint(label: npt.NDArray[np.uint8], prediction: npt.NDArray[np.integer]) -> Matrix:
    """How often every pair of a true and a predicted id occurs. Shape: ``(H, W)`` each to ``(256, 256)`` int64."""
    if label.shape != prediction.shape:
        raise DataError(
            f"Label map and prediction differ in shape: {label.shape} and {prediction.shape}. "
            "Predictions are scored at the size of the label file."
        )
    return _pair_counts(_as_bytes(label, "label"), _as_bytes(prediction, "prediction"))


def _as_bytes(ids: npt.NDArray[np.integer], what: str) -> npt.NDArray[np.uint8]:
    """The ids as one row of uint8. Shape: ``(1, N)``."""
    if ids.dtype != np.uint8 and ids.size and (ids.min() < 0 or ids.max() > 255):
        raise DataError(f"A {what} map holds ids from {ids.min()} to {ids.max()}; expected 0 to 255.")
    return np.ascontiguousarray(ids, dtype=np.uint8).reshape(1, -1)


def _pair_counts(label: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8]) -> Matrix:
    """Joint histogram of two rows of bytes. Shape: ``(256, 256)`` int64."""
    counts = np.zeros((256, 256), dtype=np.int64)
    for start in range(0, label.shape[1], _EXACT):
        part = slice(start, start + _EXACT)
        pair = [label[:, part], prediction[:, part]]
        counts += cv2.calcHist(pair, [0, 1], None, [256, 256], [0, 256, 0, 256]).astype(np.int64)
    return counts


def _require_classes(pairs: Matrix, num_classes: int, counted: Sequence[int]) -> None:
    """Raises DataError for a label that is neither class nor void; where it is ``counted``, the prediction is, too."""
    unknown = np.flatnonzero(pairs[num_classes:IGNORE].any(axis=1)) + num_classes
    if unknown.size:
        raise DataError(
            f"A label map holds the ids {unknown.tolist()}; expected 0 to {num_classes - 1}, or {IGNORE} for "
            "ignored pixels. Raw label ids are mapped to train ids before scoring (adaptbench.data.taxonomy)."
        )
    outside = np.setdiff1d(np.flatnonzero(pairs[list(counted)].any(axis=0)), counted)
    if outside.size:
        raise DataError(
            f"A prediction holds the ids {outside.tolist()} on labelled pixels; expected 0 to "
            f"{num_classes - 1}. The network's head must have as many outputs as the class set has classes."
        )
