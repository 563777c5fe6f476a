"""A confusion matrix that also counts what is no class, as public evaluators come across it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adaptbench.data.taxonomy import IGNORE
from adaptbench.evaluation.confusion import Matrix


def open_confusion(
    label: npt.NDArray[np.uint8], prediction: npt.NDArray[np.integer], num_classes: int
) -> Matrix:
    """Counts how often a pixel of class i was predicted as class j; the last row and column are for what is no class.

    What such pixels count as is a matter of the convention, see `conventions`. Pixels whose
    label is 255 (ignore) are dropped.

    Shape: ``(num_classes + 1, num_classes + 1)`` int64; rows are the truth.

    Args:
        label: train ids, any others, or 255. Shape: ``(H, W)`` uint8.
        prediction: predicted train ids, or others. Shape: ``(H, W)``, any integer type, 0..255.
        num_classes: size of the class set, at most 254.

    Example:
        >>> import numpy as np
        >>> label = np.array([[0, 0, 1, 40, 255]], dtype=np.uint8)
        >>> open_confusion(label, np.array([[0, 255, 1, 0, 0]]), 2).tolist()
        [[1, 0, 1], [0, 1, 0], [1, 0, 0]]
    """
    pairs = np.zeros((256, 256), dtype=np.int64)
    np.add.at(pairs, (label.ravel(), prediction.ravel()), 1)
    starts = np.arange(num_classes + 1)
    counts: Matrix = np.add.reduceat(np.add.reduceat(pairs[:IGNORE], starts, axis=0), starts, axis=1)
    return counts
