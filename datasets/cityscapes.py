"""Cityscapes: street scenes of 50 German and neighbouring cities, finely annotated.

Source: Cordts et al.: The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016,
    https://www.cityscapes-dataset.com (registration needed): leftImg8bit_trainvaltest.zip and
    gtFine_trainvaltest.zip.
Licence: non-commercial use such as research and teaching; the data must not be passed on.
Splits: train 2,975 (18 cities), val 500 (frankfurt 267, lindau 59, munster 174), test 1,525 (6 cities; its
    label files hold void ids only and are never read). train_extra and demoVideo are not used.
Layout: leftImg8bit/<split>/<city>/<stem>_leftImg8bit.png (RGB, 2048x1024) and
    gtFine/<split>/<city>/<stem>_gtFine_labelIds.png (8-bit grey, ids 0..33). Both zip archives can stay packed.
Labels: labelIds where the folder has any. A copy that holds only the output of a converter,
    *_gtFine_labelTrainIds.png (0..18 and 255), is read too, then with id space ``cityscapes_train``. The
    choice is made once per folder, by file names.
Our choice: the patterns of archive names, and the licence in short words; the homepage has the terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from adaptbench.contracts.dataset import Dataset, Sample, Split

_IMAGE_SUFFIX = "_leftImg8bit.png"
_LABEL_SUFFIX = {
    "cityscapes": "_gtFine_labelIds.png",
    "cityscapes_train": "_gtFine_labelTrainIds.png",
}


class Cityscapes(Dataset):
    """See the header of this file."""

    name = "cityscapes"
    title = "Cityscapes"
    licence = "non-commercial use, no redistribution"
    homepage = "https://www.cityscapes-dataset.com"
    id_space = "cityscapes"
    folders = ("cityscapes", "Cityscapes")
    image_size = (2048, 1024)
    training_size = (1024, 512)
    splits: ClassVar[Mapping[str, Split]] = {
        "train": Split(count=2975),
        "val": Split(count=500),
        "test": Split(count=1525, labelled=False, note="labels are held back by the test server"),
    }
    label_folders = ("gtFine",)
    archives = ("leftImg8bit*.zip", "gtFine*.zip", "gt_trainvaltest.zip")

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.id_space = self._id_space_of_labels()

    @classmethod
    def cluster(cls, name: str) -> str:
        """The city."""
        return name.partition("_")[0]

    def samples(self, split: str) -> list[Sample]:
        """All samples of ``split``, tagged with their city; the label files need not exist."""
        self._split(split)
        images = self._images(f"leftImg8bit/{split}", f"*/*{_IMAGE_SUFFIX}")
        return [self._sample(image, split) for image in images]

    def _sample(self, image: Path, split: str) -> Sample:
        city, stem = image.parent.name, image.name.removesuffix(_IMAGE_SUFFIX)
        label = self._place(f"gtFine/{split}/{city}/{stem}{_LABEL_SUFFIX[self.id_space]}")
        return Sample(name=stem, image=image, label=label, tags={"city": city})

    def _id_space_of_labels(self) -> str:
        """The id space of the label files that exist; without any, as in a sealed copy, the official one."""
        for id_space, suffix in _LABEL_SUFFIX.items():
            for split, facts in self.splits.items():
                if facts.labelled and self._glob(f"gtFine/{split}", f"*/*{suffix}"):
                    return id_space
        return "cityscapes"
