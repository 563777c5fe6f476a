"""Synscapes: 25,000 photorealistic renderings of streets like those of Cityscapes.

Source: Wrenninge, Unger: Synscapes: A Photorealistic Synthetic Dataset for Street Scene Parsing, arXiv 1810.08705,
    https://synscapes.on.liu.se (registration needed).
Licence: research and education; commercial use needs a licence of its own.
Splits: ``all``, 25,000 pairs; there is no official split.
Layout: img/rgb/<number>.png (1440x720, numbers are not padded) and img/class/<number>.png. img/rgb-2k holds the same
    images enlarged to 2048x1024, without labels of that size; they are not read.
Labels: 8-bit grey with Cityscapes label ids 0..33, also 34 for a licence plate.
    img/class/<number>_gt_labelTrainIds.png is the output of a converter and never read.
Our choice: the training size, the patterns of archive names, and the licence in short words (see the homepage).
    That labels are 1440x720 follows from the description of the images; no source states it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from adaptbench.contracts.dataset import Dataset, Sample, Split


class Synscapes(Dataset):
    """See the header of this file."""

    name = "synscapes"
    title = "Synscapes"
    licence = "research and education"
    homepage = "https://synscapes.on.liu.se"
    id_space = "cityscapes"
    folders = ("synscapes", "Synscapes")
    image_size = (1440, 720)
    training_size = (1440, 720)
    splits: ClassVar[Mapping[str, Split]] = {"all": Split(count=25000)}
    label_folders = ("img/class", "img/instance")
    archives = ("synscapes*.zip", "Synscapes*.zip")

    def samples(self, split: str) -> list[Sample]:
        """All pairs of ``split``, sorted by path: 1, 10, 100, .."""
        self._split(split)
        return [
            Sample(name=image.stem, image=image, label=self._place(f"img/class/{image.name}"))
            for image in self._images("img/rgb", "*.png")
        ]
