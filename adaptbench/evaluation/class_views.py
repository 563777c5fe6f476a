"""Scores of some of a head's classes, or of groups of them, from one stored confusion matrix.

A head of 19 classes never becomes one of 16: the views say what papers made of a 19-way head's predictions, and are
named so. Matrices have one more row and column for pixels whose label, or whose prediction, is no class (`closed`);
scores are 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaptbench.contracts.benchmark import AbsentClasses
from adaptbench.data.id_tables import SIXTEEN, THIRTEEN
from adaptbench.data.taxonomy import CITYSCAPES13OF16, CLASS_SETS
from adaptbench.records.average import Average
from adaptbench.records.confusion_files import Matrix

Floats = npt.NDArray[np.float64]


def closed(matrix: npt.NDArray[np.integer], classes: int | None = None) -> Matrix:
    """A stored confusion matrix with a row and a column for what is no class: empty ones, unless it has them already.

    Shape: ``(C, C)`` or, for that many ``classes``, ``(C + 1, C + 1)``, to ``(C + 1, C + 1)``.
    """
    missing = 1 if classes is None else classes + 1 - len(matrix)
    return np.pad(matrix.astype(np.int64), ((0, missing), (0, missing)))


def mean(counts: Matrix, average: Average) -> float:
    """Mean IoU; pixels whose label is no class are dropped, and predictions of none are missed."""
    labelled = counts.copy()
    labelled[-1] = 0
    return float(average.mean(average.iou_of(labelled)[:-1]))


def mean_of_labelled(counts: Matrix) -> float:
    """Mean IoU of the classes in the truth, as records have it."""
    return mean(counts, Average())


def mean_of_occurring(counts: Matrix) -> float:
    """Mean IoU of the classes in truth or prediction, as cityscapesScripts has it."""
    return mean(counts, Average(absent="skip"))


def mean_of_all(counts: Matrix) -> float:
    """Mean IoU of all classes, with 0 for one that does not occur, as FADA's evaluator has it."""
    return mean(counts, Average(absent="zero"))


def mean_with_void(counts: Matrix) -> float:
    """The same where pixels whose label is no class are errors of the class that is predicted there.

    Source: code of ESPNet, arXiv 1803.06815, on CamVid.
    """
    return Average(absent="zero").miou(counts, len(counts) - 1)


def selected(counts: Matrix, kept: Sequence[int], absent: AbsentClasses = "labelled") -> float:
    """Mean of the IoU that classes have among all of them; pixels of the others still make false positives.

    Source: evaluation of 19-way heads on SYNTHIA to Cityscapes, as DAFormer and HRDA have it, where ``absent`` is
        ``skip``.
    """
    return mean(counts, Average(tuple(kept), absent))


def others_ignored(counts: Matrix, kept: Sequence[int]) -> Matrix:
    """Counts in which pixels of other classes are ignored, and predictions of them count as no class.

    Shape: ``(C + 1, C + 1)`` to ``(len(kept) + 1, len(kept) + 1)``.

    Source: label maps of FADA and EHTDI, in which terrain, truck and train are ignored.
    """
    rows = counts[list(kept)]
    columns = rows[:, list(kept)]
    others = rows.sum(axis=1) - columns.sum(axis=1)
    return np.vstack([np.column_stack([columns, others]), np.zeros(len(kept) + 1, dtype=np.int64)])


@dataclass(frozen=True)
class ClassView:
    """One way to compute a mean IoU from a matrix.

    Attributes:
        name: for tables; says of how many classes, and by which convention.
        miou: of a matrix. Units: 0..1.
    """

    name: str
    miou: Callable[[Matrix], float]


def class_views(class_set: str, total: int, *, void_counts: bool = False) -> list[ClassView]:
    """All views of the matrices of a head with ``total`` classes, its own class set first.

    ``void_counts`` says that the matrices hold what is predicted where the label is no class.
    """
    own = [
        ClassView(f"{total} classes", mean_of_labelled),
        ClassView(f"{total} classes, labelled or predicted", mean_of_occurring),
        ClassView(f"{total} classes, absent ones 0", mean_of_all),
        *(
            [ClassView(f"{total} classes, absent ones 0, void counted", mean_with_void)]
            if void_counts
            else []
        ),
    ]
    head = CLASS_SETS[class_set].head if class_set in CLASS_SETS else class_set
    if head == "cityscapes19":
        scaled = ClassView("16 of 19 classes, x19/16", lambda counts: mean_of_all(counts) * 19 / 16)
        return [*own, *_parts(19, SIXTEEN), scaled, *_parts(19, THIRTEEN)]
    if head == "cityscapes16":
        return [*own, *_parts(16, CITYSCAPES13OF16.averaged or ())]
    return own


def _parts(total: int, kept: Sequence[int]) -> list[ClassView]:
    title = f"{len(kept)} of {total} classes"
    return [
        ClassView(f"{title}, select", lambda counts: selected(counts, kept)),
        ClassView(f"{title}, ignore others", lambda counts: mean_of_labelled(others_ignored(counts, kept))),
    ]
