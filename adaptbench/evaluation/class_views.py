"""Scores of some of a head's classes, or of groups of them, from one stored confusion matrix.

A head of 19 classes is never turned into one of 16: the views are what papers compute from the predictions of a 19-way
head, and have names of their own. Matrices are those of `open_confusion` or made by `conventions.closed`; scores are
0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from adaptbench.data.id_tables import SIXTEEN, THIRTEEN
from adaptbench.data.taxonomy import CITYSCAPES13OF16, CLASS_SETS
from adaptbench.evaluation.conventions import CONVENTIONS
from adaptbench.records.confusion_files import Matrix

#: What is ignored in a view is dropped, and predictions of it are missed.
_OCCURRING, _ALL = CONVENTIONS["cityscapes"], CONVENTIONS["fada"]


def selected(counts: Matrix, kept: Sequence[int]) -> float:
    """Mean of the IoU that classes have among all of them; pixels of the others still make false positives.

    Source: evaluation of 19-way heads on SYNTHIA to Cityscapes, as DAFormer and HRDA have it.
    """
    areas = _OCCURRING.areas(counts)[tuple(kept)]
    return _OCCURRING.average(areas.iou, areas)


def others_ignored(counts: Matrix, kept: Sequence[int]) -> Matrix:
    """Counts in which pixels of other classes are ignored, and predictions of them count as no class.

    Shape: ``(C + 1, C + 1)`` to ``(len(kept) + 1, len(kept) + 1)``.

    Source: label maps of FADA and EHTDI, in which terrain, truck and train are ignored.
    """
    rows = counts[list(kept)]
    columns = rows[:, list(kept)]
    others = rows.sum(axis=1) - columns.sum(axis=1)
    return np.vstack([np.column_stack([columns, others]), np.zeros(len(kept) + 1, dtype=np.int64)])


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


@dataclass(frozen=True)
class ClassView:
    """One way to compute a mean IoU from a matrix.

    Attributes:
        name: for tables; says of how many classes, and by which convention.
        miou: of counts of `open_confusion`. Units: 0..1.
    """

    name: str
    miou: Callable[[Matrix], float]


def class_views(class_set: str, total: int) -> list[ClassView]:
    """All views of the matrices of a head, its own class set first.

    Args:
        class_set: its name, known here or not.
        total: number of its classes.
    """
    own = [
        ClassView(f"{total} classes", _OCCURRING.miou),
        ClassView(f"{total} classes, absent ones 0", _ALL.miou),
    ]
    head = CLASS_SETS[class_set].head if class_set in CLASS_SETS else class_set
    if head == "cityscapes19":
        scaled = ClassView("16 of 19 classes, x19/16", lambda counts: _ALL.miou(counts) * 19 / 16)
        return [*own, *_parts(19, SIXTEEN), scaled, *_parts(19, THIRTEEN)]
    if head == "cityscapes16":
        return [*own, *_parts(16, CITYSCAPES13OF16.averaged or ())]
    return own


def _parts(total: int, kept: Sequence[int]) -> list[ClassView]:
    title = f"{len(kept)} of {total} classes"
    return [
        ClassView(f"{title}, select", lambda counts: selected(counts, kept)),
        ClassView(f"{title}, ignore others", lambda counts: _OCCURRING.miou(others_ignored(counts, kept))),
    ]
