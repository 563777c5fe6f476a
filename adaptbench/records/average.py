"""The mean over classes behind every mean IoU: which classes it is over, as protocol and class set of a record say.

There is one such mean in the package, `Average.mean` of `Average.iou`. Records, boards, tests, comparisons, studies
and analyses all take it, so that two numbers of one name are never over different classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptbench.contracts.benchmark import AbsentClasses
from adaptbench.data.taxonomy import CLASS_SETS

Scores = npt.NDArray[np.floating]
#: Whole numbers, as integers or floats.
Counts = npt.NDArray[Any]


@dataclass(frozen=True)
class Average:
    """A mean over classes.

    Attributes:
        classes: train ids of the averaged classes; None = all.
        absent: which of them count, as `adaptbench.contracts.benchmark.Protocol` says.
    """

    classes: tuple[int, ...] | None = None
    absent: AbsentClasses = "labelled"

    @classmethod
    def of(cls, ranking: Mapping[str, Any]) -> Average:
        """The mean that the ingredients of a ranking hash define; all classes of an unknown class set count."""
        known = CLASS_SETS.get(str(ranking.get("class_set")))
        return cls(known.averaged if known else None, ranking.get("absent_classes", "skip"))

    def iou(self, hits: Counts, union: Counts, truth: Counts) -> Scores:
        """IoU per class from pixels hit, in the union, and in the truth; NaN for a class that does not count.

        That is a class without pixels in the truth, whatever is predicted; where ``absent`` is not ``labelled``, one
        in neither truth nor prediction.

        Shape: ``(..., C)`` each, and out. Units: 0..1.
        """
        scores: Scores = np.full(np.shape(hits), np.nan, dtype=np.result_type(hits, np.float32))
        np.divide(
            hits, union, out=scores, where=np.asarray(truth if self.absent == "labelled" else union) > 0
        )
        return scores

    def iou_of(self, matrices: npt.NDArray[np.integer], classes: int | None = None) -> Scores:
        """The same from confusion matrices, rows the truth; of the first ``classes``, where void comes behind them.

        Shape: ``(..., C, C)`` to ``(..., C)`` or ``(..., classes)``. Units: 0..1.
        """
        counts = matrices.astype(np.int64)
        hits, truth = np.einsum("...cc->...c", counts), counts.sum(axis=-1)
        return self.iou(hits, counts.sum(axis=-2) + truth - hits, truth)[..., :classes]

    def mean(self, scores: Scores) -> Scores:
        """Mean over the last axis; NaN where no class has a score. Shape: ``(..., C)`` in, ``(...)`` out."""
        counted = scores if self.classes is None else scores[..., list(self.classes)]
        if self.absent == "zero":
            return np.asarray(np.nan_to_num(counted).mean(axis=-1))
        total = counted.sum(axis=-1)
        if not np.isnan(total).any():  # the usual case, several times as fast
            return np.asarray(total / counted.shape[-1])
        present = ~np.isnan(counted)
        total = np.where(present, counted, 0).sum(axis=-1)
        with np.errstate(invalid="ignore"):
            return np.asarray(total / present.sum(axis=-1))

    def miou(self, matrix: npt.NDArray[np.integer], classes: int | None = None) -> float:
        """Mean IoU of one confusion matrix; NaN where no class counts. For ``classes`` see `iou_of`. Units: 0..1."""
        return float(self.mean(self.iou_of(matrix, classes)))

    def counted(self, iou: Sequence[float | None]) -> int:
        """Number of classes behind the mean of an IoU per class, None = it does not count."""
        averaged = iou if self.classes is None else [iou[c] for c in self.classes]
        return sum(self.absent == "zero" or value is not None for value in averaged)


_ALL = Average()


def miou_only(counts: Counts, average: Average = _ALL) -> Scores:
    """The mean IoU as the only quantity. Units: percent.

    Shape: hits, union and truth of every class ``(..., 3, C)`` to ``(..., 1)``.
    """
    return average.mean(_percent(counts, average))[..., None]


def miou_and_classes(counts: Counts, average: Average = _ALL) -> Scores:
    """The mean IoU, then the IoU of every class. Units: percent. Shape: ``(..., 3, C)`` to ``(..., 1 + C)``."""
    iou = _percent(counts, average)
    return np.concatenate([average.mean(iou)[..., None], iou], axis=-1)


def _percent(counts: Counts, average: Average) -> Scores:
    iou = average.iou(counts[..., 0, :], counts[..., 1, :], counts[..., 2, :])
    iou *= 100
    return iou
