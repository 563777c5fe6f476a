"""How FADA scores."""

from __future__ import annotations

import numpy as np

from adaptbench.evaluation.confusion import confusion_matrix
from adaptbench.evaluation.fada_scores import FadaScores

from ..case import Case
from ..registry import handler


@handler("fada_metric")
def check(case: Case) -> None:
    classes = case.hyper("num_classes")
    pairs = [
        (case.all_arrays[f"in/label/{number}"][0], case.all_arrays[f"in/pred/{number}"][0])
        for number in range(case.hyper("images"))
    ]
    total = np.sum([confusion_matrix(label, predicted, classes) for label, predicted in pairs], axis=0)
    hits, truth = np.diagonal(total), total.sum(axis=1)
    case.compare("out/intersection", hits)
    case.compare("out/target", truth)
    case.compare("out/union", truth + total.sum(axis=0) - hits)
    scores = FadaScores(total)
    case.compare("out/iou_class", scores.iou)
    case.compare("out/miou", scores.miou)
    case.compare("out/macc", scores.mean_accuracy)
    case.compare("out/allacc", scores.accuracy)
