"""UrbanSyn: 7,539 photorealistic renderings of city streets, made to be added to GTA5 and SYNTHIA.

Source: Gómez, Silva, Seoane, Borrás, Noriega, Ros, Iglesias-Guitian, López: All for One, and One for All: UrbanSyn
    Dataset, the third Musketeer of Synthetic Driving Scenes, arXiv 2312.12176, https://www.urbansyn.org; folders, image
    size and classes as the card of https://huggingface.co/datasets/UrbanSyn/UrbanSyn states them.
Licence: CC BY-SA 4.0, commercial use included.
Splits: ``all``, 7,539 pairs 0001..7539; papers train on all of them.
Layout: rgb/rgb_<number>.png (2048x1024) and ss/ss_<number>.png, unpacked. ss_color, panoptic, bbox2d and depth
    are not read.
Labels: train ids of Cityscapes, 0..18, and 19 where there is no class, which the converters of Rein and SoMA write as
    255. The card calls them grey, but readers find several channels, and the id in the first (VFM-UDA++): read are PNGs
    of 8 bits whose colour channels agree, or that have one.
Our choice: the training size, which is that of Cityscapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from adaptbench.contracts.dataset import Dataset, Sample, Split
from adaptbench.data import files
from adaptbench.data.label_ids import train_ids
from adaptbench.data.taxonomy import IGNORE
from adaptbench.errors import DataError

#: What marks pixels without a class in the files.
_VOID = 19
_TABLE = np.arange(256, dtype=np.uint8)
_TABLE[_VOID] = IGNORE


class UrbanSyn(Dataset):
    """See the header of this file."""

    name = "urbansyn"
    title = "UrbanSyn"
    licence = "CC BY-SA 4.0"
    homepage = "https://www.urbansyn.org"
    id_space = "cityscapes_train"
    folders = ("urbansyn", "UrbanSyn")
    image_size = (2048, 1024)
    training_size = (1024, 512)
    splits: ClassVar[Mapping[str, Split]] = {"all": Split(count=7539)}
    label_folders = ("ss", "ss_color", "panoptic", "bbox2d")

    def samples(self, split: str) -> list[Sample]:
        """All pairs of ``split``; the label's number is that of the image."""
        self._split(split)
        numbered = [(image.stem.removeprefix("rgb_"), image) for image in self._images("rgb", "rgb_*.png")]
        return [Sample(number, image, self.root / f"ss/ss_{number}.png") for number, image in numbered]

    def decode_label(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """Train ids; what has no class is 255. Shape: ``(H, W)`` uint8.

        Raises:
            DataError: the file is missing or damaged, or its colour channels differ.
        """
        ids, *others = cv2.split(files.read_image(sample.label))
        if any(cv2.norm(ids, other, cv2.NORM_INF) for other in others):
            raise DataError(
                f"Label file with unknown encoding: {sample.label} holds colours. Expected the same class id in every "
                "channel. Is it a file of ss_color? Put the one of the official folder ss there."
            )
        return train_ids(np.asarray(ids, np.uint8), _TABLE)
