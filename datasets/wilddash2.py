"""WildDash 2: 4,256 frames of videos from all over the world, in conditions that are hard for networks.

Source: Zendel, Schörghuber, Rainer, Murschitz, Beleznai: Unifying Panoptic Segmentation for Autonomous Driving, CVPR
    2022, https://wilddash.cc (registration needed): wd_public_v2p0.zip, or the earlier wd_public_02.zip ("beta").
Licence: non-commercial use (https://wilddash.cc/license/wilddash).
Splits: ``public``, all 4,256 that have public labels; there is no official split. The 812 frames of the benchmark
    (wd_both_02.zip) have none and are not read.
Layout: images/<name>.jpg, with labels/<name>.png in wd_public_02, or panoptic/<name>.png and panoptic.json in
    wd_public_v2p0, where the first is not there. The zip archive can stay packed.
Labels: of wd_public_02, 8-bit grey ids 0..38; of wd_public_v2p0, the segments of COCO's panoptic format (id = red + 256
    green + 65536 blue, 0 = none), each with a category 0..80. The first 39 are the same. Both become the 19 classes of
    Cityscapes by the authors' wd2_unified_label_policy.json (https://github.com/ozendelait/wilddash_scripts): pickups
    are trucks, vans cars, auto rickshaws motorcycles, road markings and bike lanes road, curbs sidewalk; billboards,
    street lights and groups of poles have no class. VFM-UDA scores 852 of the frames by the table of Cityscapes, in
    which pickups, vans and markings have no class, at another size: its numbers do not compare.
Known problems: a training that is given labels (a source, or the oracle) can open those of wd_public_02 alone, as
    panoptic.json is closed to it.
Our choice: the training size; that images of any size are taken; the licence in short words.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from adaptbench.contracts.dataset import Dataset, Sample, Split
from adaptbench.data import files, id_tables
from adaptbench.data.label_ids import listed, train_ids
from adaptbench.data.taxonomy import IGNORE
from adaptbench.errors import DataError

_CATEGORIES = 81
#: Category -> train id. Those below 34 are label ids of Cityscapes.
_TRAIN_ID: id_tables.IdTable = {
    **id_tables.CITYSCAPES,
    34: 14,  # pickup
    35: 13,  # van
    **dict.fromkeys(
        (38, 41, 43, 61, 64, 70, 74, 75, 76, 79), 0
    ),  # what is on a road, and other kinds of roads
    **dict.fromkeys((45, 46), 5),  # frames of signs, utility poles
    **dict.fromkeys((47, 48, 49), 12),  # riders of any kind
    **dict.fromkeys((52, 65, 77, 80), 1),  # curbs, and what is on a sidewalk
    56: 3,  # other barriers
    58: 17,  # auto rickshaws
    78: 9,  # curbs of terrain
}
#: What is no category stays as it is, so that the reader refuses it.
_TABLE = np.arange(256, dtype=np.uint8)
_TABLE[:_CATEGORIES] = IGNORE
_TABLE[list(_TRAIN_ID)] = list(_TRAIN_ID.values())

_SEGMENTS = "panoptic.json"
_MOST_SEGMENTS = 1 << 24


class WildDash2(Dataset):
    """See the header of this file."""

    name = "wilddash2"
    title = "WildDash 2"
    licence = "non-commercial use"
    homepage = "https://wilddash.cc"
    id_space = "cityscapes_train"
    folders = ("wilddash2", "WildDash2", "wilddash", "wd_public_v2p0", "wd_public_02")
    image_size = (1920, 1080)
    other_sizes = None
    training_size = (960, 540)
    splits: ClassVar[Mapping[str, Split]] = {"public": Split(count=4256)}
    label_folders = ("labels", "instances", "panoptic", _SEGMENTS)
    archives = ("wd_public_*.zip",)

    def samples(self, split: str) -> list[Sample]:
        """All images of ``split``; their labels need not exist."""
        self._split(split)
        labels = self._first_folder("labels", "panoptic")
        return [
            Sample(image.stem, image, self._place(f"{labels}/{image.stem}.png"))
            for image in self._images("images", "*.jpg")
        ]

    def decode_label(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """Train ids. Shape: ``(H, W)`` uint8.

        Raises:
            DataError: a file is missing or damaged, or has another encoding.
        """
        if sample.label.parent.name == "labels":
            return train_ids(files.read_index_image(sample.label), _TABLE)
        return train_ids(self._panoptic(sample), _TABLE)

    def _panoptic(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """The category of every pixel's segment."""
        known = {0: 0, **self._categories.get(sample.label.name, {})}
        table = np.full(_MOST_SEGMENTS, IGNORE, np.uint8)
        table[list(known)] = list(known.values())
        segments = _segments(files.read_image(sample.label))
        categories = table[segments]
        if (unlisted := segments[categories == IGNORE]).size:
            pixels = dict(zip(*(found.tolist() for found in np.unique_counts(unlisted)), strict=True))
            raise DataError(
                f"Label file {sample.label} holds segments that {_SEGMENTS} does not list for it: {listed(pixels)}. "
                f"Put the official files there, both of one release. {self.where_to_get()}"
            )
        return categories

    @cached_property
    def _categories(self) -> Mapping[str, Mapping[int, int]]:
        """Name of a panoptic PNG -> segment -> category."""
        path = self._place(_SEGMENTS)
        content = files.read_json(path)
        try:
            return {
                each["file_name"]: dict(map(_segment, each["segments_info"]))
                for each in content["annotations"]
            }
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} is not in COCO's panoptic format ({type(error).__name__}: {error}). Put the official file "
                f"there. {self.where_to_get()}"
            ) from error


def _segments(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """The segment of every pixel. Shape: ``(H, W, 3)`` to ``(H, W)``.

    Red, green, blue and a fourth channel are the bytes of a number, of which the last one is cut off.
    """
    numbers = cv2.cvtColor(colours, cv2.COLOR_RGB2RGBA).view("<u4")[..., 0]
    return np.asarray(numbers % _MOST_SEGMENTS, np.uint32)


def _segment(entry: Mapping[str, int]) -> tuple[int, int]:
    """Id and category of a segment."""
    segment, category = entry["id"], entry["category_id"]
    if segment not in range(_MOST_SEGMENTS) or category not in range(_CATEGORIES):
        raise ValueError(f"segment {segment!r} of category {category!r}")
    return segment, category
