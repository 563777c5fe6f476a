"""Mapillary Vistas: street scenes from all over the world, of many cameras and sizes; versions 1.2 and 2.0.

Source: Neuhold, Ollmann, Rota Bulò, Kontschieder: The Mapillary Vistas Dataset for Semantic Understanding of Street
    Scenes, ICCV 2017, https://www.mapillary.com/dataset/vistas: mapillary-vistas-dataset_public_v1.2.zip, or
    mapillary-vistas-dataset_public_v2.0.zip, which holds the labels of both versions.
Licence: CC BY-NC-SA 4.0.
Splits: training 18,000, validation 2,000, testing 5,000 (no labels).
Layout: <split>/images/<name>.jpg, any size, also upright; labels of version 1.2 in <split>/v1.2/labels/<name>.png (in
    the older archive <split>/labels/<name>.png), of version 2.0 in <split>/v2.0/labels/<name>.png. The zip archive can
    stay packed.
Labels: palette PNG, the index is the class, 0..65 (1.2) or 0..123 (2.0); in 2.0 several classes share a colour. Two
    mappings to the 19 classes of Cityscapes are published for 1.2, and scores under them do not compare:

    mapillary       25 ids, as RobustNet and HRDA have it
    mapillary_rein  34 ids, as Rein and DDB have it: also crosswalks, parking, bike and service lanes as road, curb cuts
                    and pedestrian areas as sidewalk, street lights as pole, backs and frames of signs as sign
    mapillary_v2    version 2.0, its classes put together as in `mapillary`; no paper states a mapping

Rein and DDB also score images that were halved and stored as JPEG again; here files are scored as they are.

Known problems: JPEGs may carry an orientation tag of EXIF, which is not applied, as the labels know nothing of it.
Our choice: the training size, the pattern of the archive's name, and the licence in short words. The counts of
    validation and testing are those of the paper as remembered, not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from adaptbench.contracts.dataset import Dataset, Sample, Split

_SPLITS = {
    "training": Split(count=18000),
    "validation": Split(count=2000),
    "testing": Split(count=5000, labelled=False),
}
_LABELS = tuple(
    f"{split}/{kind}" for split in _SPLITS for kind in ("labels", "instances", "panoptic", "v1.2", "v2.0")
)


class _Vistas(Dataset):
    """What both versions have in common."""

    image_size = (4032, 3024)
    other_sizes = None
    training_size = (1024, 512)
    label_folders = _LABELS
    archives = ("mapillary-vistas*.zip",)

    def samples(self, split: str) -> list[Sample]:
        """All images of ``split``; their labels need not exist."""
        self._split(split)
        labels = self._label_folder(split)
        return [
            Sample(image.stem, image, self._place(f"{labels}/{image.stem}.png"))
            for image in self._images(f"{split}/images", "*.jpg")
        ]

    def _label_folder(self, split: str) -> str:
        return self._first_folder(f"{split}/labels", f"{split}/v1.2/labels")


class Mapillary(_Vistas):
    """Version 1.2 with the mapping of RobustNet and HRDA. See the header of this file."""

    name = "mapillary"
    title = "Mapillary Vistas 1.2 (mapping of RobustNet and HRDA)"
    licence = "CC BY-NC-SA 4.0"
    homepage = "https://www.mapillary.com/dataset/vistas"
    folders = ("mapillary", "mapillary_vistas", "Mapillary")
    id_space = "mapillary"
    splits: ClassVar[Mapping[str, Split]] = _SPLITS


class MapillaryRein(_Vistas):
    """Version 1.2 with the mapping of Rein and DDB. See the header of this file."""

    name = "mapillary_rein"
    title = "Mapillary Vistas 1.2 (mapping of Rein and DDB)"
    licence = "CC BY-NC-SA 4.0"
    homepage = "https://www.mapillary.com/dataset/vistas"
    folders = ("mapillary", "mapillary_vistas", "Mapillary")
    id_space = "mapillary_rein"
    splits: ClassVar[Mapping[str, Split]] = _SPLITS


class MapillaryV2(_Vistas):
    """Version 2.0. See the header of this file."""

    name = "mapillary_v2"
    title = "Mapillary Vistas 2.0"
    licence = "CC BY-NC-SA 4.0"
    homepage = "https://www.mapillary.com/dataset/vistas"
    folders = ("mapillary_v2", "mapillary", "mapillary_vistas", "Mapillary")
    id_space = "mapillary_v2"
    splits: ClassVar[Mapping[str, Split]] = _SPLITS

    def _label_folder(self, split: str) -> str:
        return f"{split}/v2.0/labels"
