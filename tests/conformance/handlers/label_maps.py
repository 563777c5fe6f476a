"""From label ids to train ids, in 19 classes and in the fewer ones of SYNTHIA and NTHU."""

from __future__ import annotations

import re

import numpy as np

from adaptbench.data.taxonomy import IGNORE, class_set, label_map

from ..case import Case
from ..registry import handler

#: Data set of a recorded table -> id space.
_SPACES = {"gta5": "cityscapes", "cityscapes": "cityscapes", "synthia": "synthia"}


@handler("fada_label_maps")
def check(case: Case) -> None:
    for name, recorded in case.arrays("out/").items():
        if found := re.fullmatch(r"fada_(\d+)_to_19", name):
            _check_way_back(case, f"out/{name}", f"cityscapes{found[1]}")
        else:
            case.compare(f"out/{name}", label_map(*_table(name))[: len(recorded)])


def _table(name: str) -> tuple[str, str]:
    """Id space and class set; a name that ends in no number of classes means 19."""
    found = re.fullmatch(rf"fada_({'|'.join(_SPACES)})(\d*)", name)
    assert found, f"the handler does not know the id table {name!r}"
    return _SPACES[found[1]], f"cityscapes{found[2] or 19}"


def _check_way_back(case: Case, name: str, classes: str) -> None:
    """The train ids, of 19, that the ids of a smaller class set stand for; it drops the others."""
    forward = label_map("cityscapes_train", classes)
    back = [int(np.flatnonzero(forward == i)[0]) for i in range(len(class_set(classes)))]
    case.compare(name, back)
    case.expect(
        "ids that are dropped", np.flatnonzero(forward[:19] == IGNORE), sorted({*range(19)} - {*back})
    )
