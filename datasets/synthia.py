"""SYNTHIA-RAND-CITYSCAPES: 9,400 rendered street scenes labelled like Cityscapes, without three of its classes.

Source: Ros, Sellart, Materzynska, Vazquez, Lopez: The SYNTHIA Dataset, CVPR 2016,
    https://synthia-dataset.net (SYNTHIA-RAND-CITYSCAPES).
Licence: CC BY-NC-SA 3.0, non-commercial.
Splits: ``all``, 9,400 pairs 0000000..0009399; there is no official split and adaptation papers train on all.
Layout: RGB/<id>.png (1280x760) and GT/LABELS/<id>.png, with or without the folder RAND_CITYSCAPES above them.
Labels: PNG of 16 bits per channel: red is the class 0..22, green the instance. Many readers return the high byte of
    it, class 0 everywhere. Terrain, truck and train never occur, and lane markings are ignored by all papers.
    GT/COLOR cannot be mapped back, and <id>_labelTrainIds.png is the output of a converter: neither is read.
Our choice: the patterns of archive names, and the licence in short words; the homepage has the terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from adaptbench.contracts.dataset import Dataset, Sample, Split
from adaptbench.data import files


class Synthia(Dataset):
    """See the header of this file."""

    name = "synthia"
    title = "SYNTHIA-RAND-CITYSCAPES"
    licence = "CC BY-NC-SA 3.0, non-commercial"
    homepage = "https://synthia-dataset.net"
    id_space = "synthia"
    folders = ("synthia", "SYNTHIA", "RAND_CITYSCAPES")
    image_size = (1280, 760)
    training_size = (1280, 760)
    splits: ClassVar[Mapping[str, Split]] = {"all": Split(count=9400)}
    label_folders = ("RAND_CITYSCAPES/GT", "GT")
    archives = ("SYNTHIA_RAND_CITYSCAPES*.zip", "RAND_CITYSCAPES*.zip")

    def samples(self, split: str) -> list[Sample]:
        """All pairs of ``split``; the label's name is that of the image."""
        self._split(split)
        images = self._first_folder("RAND_CITYSCAPES/RGB", "RGB")
        labels = f"{images.removesuffix('RGB')}GT/LABELS"
        return [
            Sample(name=image.stem, image=image, label=self._place(f"{labels}/{image.name}"))
            for image in self._images(images, "*.png")
        ]

    def decode_label(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """Class ids from the red channel of 16 bits. Shape: ``(H, W)`` uint8.

        Raises:
            DataError: the file is missing, damaged, or holds no 16 bits per channel.
        """
        return files.read_wide_index_image(sample.label)
