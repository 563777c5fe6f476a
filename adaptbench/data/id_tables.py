"""Id tables: which raw id of a label file is which class. Ids that a table does not list are ignored.

A table is the one of the reference that a comment names; where there are two, both are here, by name.
"""

from __future__ import annotations

from collections.abc import Mapping

IdTable = Mapping[int, int]

#: Cityscapes label id -> train id. Source: cityscapesScripts, helpers/labels.py.
CITYSCAPES: IdTable = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12,
    26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18,
}  # fmt: skip

#: Cityscapes label id -> CamVid class. CamVid's classes are wider: Sign-Symbol holds traffic lights,
#: Car every motor vehicle (train is left out, CamVid has none), Bicyclist the rider together with the
#: bicycle. Wall, terrain and train have no counterpart and are ignored. The table is the one public
#: GTA5 loaders use, with one departure: the rider (25), ignored there, is a Bicyclist as in CamVid.
CITYSCAPES_TO_CAMVID11: IdTable = {
    7: 3, 8: 4, 11: 1, 13: 7, 17: 2, 19: 6, 20: 6, 21: 5, 23: 0, 24: 9, 25: 10, 26: 8, 27: 8, 28: 8,
    32: 8, 33: 10,
}  # fmt: skip

#: SYNTHIA-RAND-CITYSCAPES class -> train id. Lane markings (22), road works (14) and parking slots (13) are
#: ignored by all references, not road. Terrain, truck and train (16, 18, 20) are mapped but never occur.
SYNTHIA: IdTable = {
    1: 10, 2: 2, 3: 0, 4: 1, 5: 4, 6: 8, 7: 5, 8: 13, 9: 7, 10: 11, 11: 18, 12: 17, 15: 6, 16: 9,
    17: 12, 18: 14, 19: 15, 20: 16, 21: 3,
}  # fmt: skip

#: BDD100K label ids as in its panoptic bitmasks -> train id. They are no Cityscapes ids; the masks of the
#: semantic segmentation task hold train ids already. Source: bdd100k, label/label.py.
BDD100K_LABELS: IdTable = {
    7: 0, 8: 1, 10: 2, 11: 4, 15: 3, 20: 5, 25: 6, 26: 7, 28: 9, 29: 8, 30: 10, 31: 11, 32: 12,
    33: 18, 34: 15, 35: 13, 37: 17, 39: 16, 40: 14,
}  # fmt: skip

#: Mapillary Vistas 1.2 -> train id, as RobustNet and HRDA have it: 25 ids.
MAPILLARY: IdTable = {
    2: 1, 3: 4, 6: 3, 13: 0, 15: 1, 17: 2, 19: 11, 20: 12, 21: 12, 22: 12, 24: 0, 27: 10, 29: 9,
    30: 8, 41: 0, 45: 5, 47: 5, 48: 6, 50: 7, 52: 18, 54: 15, 55: 13, 57: 17, 58: 16, 61: 14,
}  # fmt: skip

#: The same as Rein and DDB have it: also bike and service lanes, crosswalks and parking as road, curb cuts and
#: pedestrian areas as sidewalk, street lights as pole, backs and frames of signs as sign; no manholes.
MAPILLARY_REIN: IdTable = {
    **{raw: train for raw, train in MAPILLARY.items() if raw != 41},
    7: 0, 8: 0, 9: 1, 10: 0, 11: 1, 14: 0, 23: 0, 44: 5, 46: 7, 49: 7,
}  # fmt: skip

#: Mapillary Vistas 2.0 -> train id: its finer classes put together as `MAPILLARY` has them. No paper states a
#: table for 2.0. What 1.2 does not name (road shoulders, driveways, traffic islands, garages) is ignored.
MAPILLARY_V2: IdTable = {
    4: 1, 5: 4, 12: 3, 21: 0, 24: 1, 27: 2, 30: 11, 31: 11, 32: 12, 33: 12, 34: 12,
    **dict.fromkeys([*range(35, 45), *range(46, 56), 57, 58, 74], 0),
    61: 10, 63: 9, 64: 8, 85: 5, 88: 5, **dict.fromkeys(range(90, 96), 6),
    99: 7, 100: 7, 101: 7, 103: 7, 105: 18, 107: 15, 108: 13, 110: 17, 111: 16, 114: 14,
}  # fmt: skip

#: CamVid -> the train id of the nearest class. CamVid's classes are wider (see `CITYSCAPES_TO_CAMVID11`), so this is
#: no fair score: use class set ``camvid11`` instead, or name the id space ``camvid_nearest``.
CAMVID_NEAREST: IdTable = {0: 10, 1: 2, 2: 5, 3: 0, 4: 1, 5: 8, 6: 7, 7: 4, 8: 13, 9: 11, 10: 18}

#: Train ids of the 16 classes that SYNTHIA shows: terrain, truck and train are missing.
SIXTEEN = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18)
#: Train ids of the 13 classes that Cross-City labels, which are also those of SYNTHIA without wall, fence and pole.
THIRTEEN = (0, 1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18)


def same(count: int) -> dict[int, int]:
    """The table of files that hold train ids already."""
    return {i: i for i in range(count)}


def restricted(table: IdTable, kept: tuple[int, ...]) -> dict[int, int]:
    """``table`` with its train ids renumbered to their place in ``kept``; the others are ignored."""
    return {raw: kept.index(train) for raw, train in table.items() if train in kept}
