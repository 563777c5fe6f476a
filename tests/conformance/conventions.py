"""How public evaluators score, by name: pure functions of a confusion matrix, whose counts are integers.

They agree on the IoU of a class and differ in three things: how pixels count whose label is no
class, how those whose prediction is none, and which classes are averaged. Matrices are those of `open_confusion`, so
that one count serves all.
Nothing here is ranked: records hold `adaptbench.evaluation.metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from adaptbench.errors import DataError
from adaptbench.records.average import Average
from adaptbench.records.confusion_files import Matrix

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Areas:
    """Pixels of every class, over any number of images. Shape: int64 ``(C,)`` each.

    Attributes:
        hits: pixels of the class that are predicted as it.
        predicted: pixels predicted as the class.
        true: pixels of the class.
    """

    hits: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    true: npt.NDArray[np.int64]

    @property
    def union(self) -> npt.NDArray[np.int64]:
        """Pixels of the class or predicted as it."""
        union: npt.NDArray[np.int64] = self.predicted + self.true - self.hits
        return union

    @property
    def iou(self) -> Scores:
        """Intersection over union per class; NaN for a class in neither truth nor prediction. Units: 0..1."""
        return _share(self.hits, self.union)

    @property
    def recall(self) -> Scores:
        """Accuracy per class: share of its pixels that are right; NaN for a class without pixels."""
        return _share(self.hits, self.true)

    @property
    def precision(self) -> Scores:
        """Share of the pixels predicted as a class that are right; NaN for a class that is never predicted."""
        return _share(self.hits, self.predicted)

    @property
    def dice(self) -> Scores:
        """2 hits / (predicted + true); 0 for a class that occurs and is never hit."""
        return _share(2 * self.hits, self.predicted + self.true)

    @property
    def f_score(self) -> Scores:
        """Harmonic mean of precision and recall; unlike `dice` it is NaN for a class that is never hit."""
        precision, recall = self.precision, self.recall
        return _share(2 * precision * recall, precision + recall)

    @property
    def accuracy(self) -> float:
        """Share of the labelled pixels that are right; NaN when none is labelled."""
        return float(_share(self.hits.sum(), self.true.sum()))

    def __getitem__(self, classes: tuple[int, ...]) -> Areas:
        """The areas of some classes."""
        kept = list(classes)
        return Areas(self.hits[kept], self.predicted[kept], self.true[kept])


@dataclass(frozen=True)
class Convention:
    """How an evaluator scores.

    Attributes:
        source: which evaluator.
        other_truth: how a pixel counts whose label is neither a class nor ignored: a false positive of the class that
            is predicted there, dropped, or an error.
        other_prediction: how a labelled pixel counts whose prediction is no class: missed by its class, or an error.
        mean: which classes are averaged: those that occur in truth or prediction, all (with 0 for one that does not
            occur), or those that are labelled somewhere.
    """

    source: str
    other_truth: Literal["false positive", "dropped", "error"]
    other_prediction: Literal["missed", "error"]
    mean: Literal["occurring", "all", "labelled"]

    def areas(self, counts: Matrix) -> Areas:
        """Pixels of every class as this evaluator counts them.

        Args:
            counts: of `open_confusion`. Shape: ``(C + 1, C + 1)``.

        Raises:
            DataError: the evaluator fails on such ids.
        """
        classes = counts[:-1, :-1]
        self._refuse("label", int(counts[-1].sum()), self.other_truth)
        self._refuse("prediction", int(counts[:-1, -1].sum()), self.other_prediction)
        rows = counts if self.other_truth == "false positive" else counts[:-1]
        return Areas(np.diagonal(classes), rows[:, :-1].sum(axis=0), counts[:-1].sum(axis=1))

    def average(self, scores: Scores, areas: Areas) -> float:
        """Mean of one of the scores of ``areas``; NaN without any class to average."""
        chosen = {
            "occurring": ~np.isnan(scores),
            "all": np.ones(len(scores), dtype=bool),
            "labelled": areas.true > 0,
        }[self.mean]
        return float(np.nan_to_num(scores[chosen]).mean()) if chosen.any() else float("nan")

    def miou(self, counts: Matrix) -> float:
        """Mean IoU of counts of `open_confusion`. Units: 0..1.

        Raises:
            DataError: the evaluator fails on such ids.
        """
        areas = self.areas(counts)
        return self.average(areas.iou, areas)

    def _refuse(self, what: str, pixels: int, rule: str) -> None:
        if pixels and rule == "error":
            raise DataError(
                f"{self.source} fails on ids that are no class: {pixels} pixels of a {what} map hold some. Map raw "
                "ids to train ids first (adaptbench.data.taxonomy)."
            )


CONVENTIONS: Mapping[str, Convention] = {
    "adaptbench": Convention("AdaptBench", "error", "error", "labelled"),
    "cityscapes": Convention(
        "cityscapesScripts, evalPixelLevelSemanticLabeling.py", "dropped", "missed", "occurring"
    ),
    "mmseg": Convention("mmsegmentation, IoUMetric", "false positive", "missed", "occurring"),
    "fada": Convention("FADA, intersectionAndUnionGPU", "false positive", "missed", "all"),
    "advent": Convention("ADVENT and IntraDA, per_class_iu", "dropped", "error", "occurring"),
    "ehtdi": Convention("EHTDI and MaxSquareLoss, Eval", "dropped", "error", "occurring"),
    "bdd": Convention("bdd100k, semantic segmentation evaluation", "error", "missed", "labelled"),
}


#: Our mean over the classes in truth or prediction, which most papers' evaluators take.
OCCURRING = Average(absent="skip")


def merged(counts: Matrix, groups: Sequence[Sequence[int]]) -> Matrix:
    """Counts of groups of classes; classes in no group become no class.

    Shape: ``(C + 1, C + 1)`` to ``(len(groups) + 1, len(groups) + 1)``.

    Source: cityscapesScripts, scores of categories.
    """
    member = np.zeros((len(groups) + 1, len(counts)), dtype=np.int64)
    for group, classes in zip(member, groups, strict=False):
        group[list(classes)] = 1
    member[-1] = 1 - member[:-1].sum(axis=0)
    summed: Matrix = member @ counts @ member.T
    return summed


def _share(part: npt.ArrayLike, whole: npt.ArrayLike) -> Scores:
    """Part over whole, NaN where the whole is 0."""
    scores: Scores = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=scores, where=np.asarray(whole) > 0)
    return scores
