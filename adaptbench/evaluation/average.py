"""Which classes a mean IoU averages, as the protocol and the class set of a record say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptbench.contracts.benchmark import AbsentClasses
from adaptbench.data.taxonomy import CLASS_SETS

Scores = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Average:
    """A mean over classes.

    Attributes:
        classes: train ids of the averaged classes; None = all.
        absent: how a class in neither truth nor prediction, which has no score, counts: left out, or as 0.
    """

    classes: tuple[int, ...] | None = None
    absent: AbsentClasses = "skip"

    @classmethod
    def of(cls, ranking: Mapping[str, Any]) -> Average:
        """The mean that the ingredients of a ranking hash define; all classes of an unknown class set count."""
        known = CLASS_SETS.get(str(ranking.get("class_set")))
        return cls(known.averaged if known else None, ranking.get("absent_classes", "skip"))

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


_ALL = Average()


def miou_only(iou: Scores, average: Average = _ALL) -> Scores:
    """The mean IoU as the only quantity."""
    return average.mean(iou)[..., None]


def miou_and_classes(iou: Scores, average: Average = _ALL) -> Scores:
    """The mean IoU, then the IoU of every class."""
    return np.concatenate([average.mean(iou)[..., None], iou], axis=-1)
