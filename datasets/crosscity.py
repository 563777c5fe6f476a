"""Cross-City (NTHU): panoramas of Rio, Rome, Taipei and Tokyo; 100 images of each city are annotated in 13 classes.

Source: Chen, Chen, Chen, Tsai, Wang, Sun: No More Discrimination: Cross City Adaptation of Road Scene Segmenters,
    ICCV 2017, https://yihsinchen.github.io/segmentation_adaptation (request form).
Licence: research use.
Splits: per city <city>_train 3,200 (no labels) and <city>_test 100.
Layout: <City>/Images/Train/<name> and <City>/Images/Test/<name> (jpg or png, 2048x1024), and
    <City>/Labels/Test/<stem>_eval.png. The lists in <City>/List are not read.
Labels: 8-bit grey with Cityscapes label ids; wall, fence, pole, terrain, truck and train are not annotated, so that
    class set ``cityscapes13`` is scored.
Our choice: the training size, the patterns of archive names, and the licence in short words (see the homepage).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from adaptbench.contracts.dataset import Dataset, Sample, Split


class CrossCity(Dataset):
    """See the header of this file."""

    name = "crosscity"
    title = "Cross-City (Rio, Rome, Taipei, Tokyo)"
    licence = "research use"
    homepage = "https://yihsinchen.github.io/segmentation_adaptation"
    id_space = "cityscapes"
    folders = ("crosscity", "NTHU_Datasets", "NTHU", "nthu")
    image_size = (2048, 1024)
    training_size = (1024, 512)
    splits: ClassVar[Mapping[str, Split]] = {
        "rio_train": Split(count=3200, labelled=False),
        "rio_test": Split(count=100),
        "rome_train": Split(count=3200, labelled=False),
        "rome_test": Split(count=100),
        "taipei_train": Split(count=3200, labelled=False),
        "taipei_test": Split(count=100),
        "tokyo_train": Split(count=3200, labelled=False),
        "tokyo_test": Split(count=100),
    }
    label_folders = ("Rio/Labels", "Rome/Labels", "Taipei/Labels", "Tokyo/Labels")
    archives = ("Rio*.zip", "Rome*.zip", "Taipei*.zip", "Tokyo*.zip", "NTHU_Datasets*.zip")

    @classmethod
    def cluster(cls, name: str) -> str:
        """The panorama; several images are views of one."""
        return "_".join(name.split("_")[:2])

    def samples(self, split: str) -> list[Sample]:
        """All images of ``split``, tagged with their city; their labels need not exist."""
        self._split(split)
        city, part = (word.capitalize() for word in split.split("_"))
        return [
            Sample(
                name=image.stem,
                image=image,
                label=self._place(f"{city}/Labels/{part}/{image.stem}_eval.png"),
                tags={"city": city},
            )
            for image in self._images(f"{city}/Images/{part}", "*.[jp][pn]g")
        ]
