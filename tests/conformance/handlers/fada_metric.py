"""How FADA scores."""

from __future__ import annotations

import numpy as np

from adaptbench.data.taxonomy import IGNORE

from ..case import Case
from ..conventions import CONVENTIONS
from ..open_confusion import open_confusion
from ..registry import handler


@handler("fada_metric")
def check(case: Case) -> None:
    classes, ignored = case.hyper("num_classes"), case.hyper("ignore_label")
    pairs = []
    for number in range(case.hyper("images")):
        label, found = (case.all_arrays[f"in/{name}/{number}"] for name in ("label", "pred"))
        pairs.append((np.where(label == ignored, IGNORE, label).astype(np.uint8), found))
    total = np.sum([open_confusion(label, predicted, classes) for label, predicted in pairs], axis=0)
    convention = CONVENTIONS["fada"]
    areas = convention.areas(total)
    case.compare("out/intersection", areas.hits)
    case.compare("out/target", areas.true)
    case.compare("out/union", areas.union)
    case.compare("out/iou_class", np.nan_to_num(areas.iou))
    case.compare("out/miou", convention.miou(total))
    case.compare("out/macc", convention.average(areas.recall, areas))
    case.compare("out/allacc", areas.accuracy)
