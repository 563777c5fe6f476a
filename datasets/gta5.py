"""GTA5 ("Playing for Data"): 24,966 frames of a computer game with labels in Cityscapes ids.

Source: Richter, Vineet, Roth, Koltun: Playing for Data: Ground Truth from Computer Games, ECCV 2016,
    https://download.visinf.tu-darmstadt.de/data/from_games/. Ten archives each of images and labels.
Licence: research and education only, see the homepage; the game's own terms apply beside it.
Splits: ``all``, 24,966 pairs. Adaptation papers train on all of them; the authors' lists (12,403 train,
    6,382 val, 6,181 test) are in split.mat and not used here. ``heldout`` exists in generated worlds only.
Layout: images/<id>.png (RGB, most 1914x1052, some 1914x1046) and labels/<id>.png, or the twenty zip archives. A label
    is a palette PNG: the index is the Cityscapes label id 0..33, also 34 for a licence plate; several ids share a
    colour, so colours cannot be mapped back. labels/<id>_labelTrainIds.png is the output of a converter and never read.
Known problems: 62 pairs do not fit together (`broken`): `samples` lists them like the official release,
    `usable` leaves them out, and reading one ends in an error instead of a silent substitute. The label of
    15617 holds one class only. Copies with 25 files missing were reported: trust the pairing, not the count.
Our choice: the licence in short words; the homepage has the terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from adaptbench.contracts.dataset import Dataset, Sample, Split

_OTHER_SIZE = "image and label differ in height"


class GTA5(Dataset):
    """See the header of this file."""

    name = "gta5"
    title = "GTA5 (Playing for Data)"
    licence = "research and education only"
    homepage = "https://download.visinf.tu-darmstadt.de/data/from_games/"
    id_space = "cityscapes"
    folders = ("gta5", "GTA5", "gta", "GTA")
    image_size = (1914, 1052)
    training_size = (1280, 720)
    splits: ClassVar[Mapping[str, Split]] = {
        "all": Split(count=24966, note="62 of the pairs do not fit together and are left out of training"),
        "heldout": Split(count=None, note="generated worlds only: images that no training ever sees"),
    }
    label_folders = ("labels", "heldout/labels")
    archives = ("*_images.zip", "*_labels.zip")
    other_sizes = ((1914, 1046),)
    broken: ClassVar[Mapping[str, str]] = {
        "15188": "the image is blank (white) and half the size of its label",
        "17705": "the image is blank (black) and half the size of its label",
        **{f"{number:05d}": _OTHER_SIZE for number in range(20801, 20861)},
    }

    def samples(self, split: str) -> list[Sample]:
        """All pairs of ``split``; the label's name is that of the image."""
        self._split(split)
        base = "heldout/" if split == "heldout" else ""
        return [
            Sample(name=image.stem, image=image, label=self._place(f"{base}labels/{image.name}"))
            for image in self._images(f"{base}images", "*.png")
        ]
