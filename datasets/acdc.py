"""ACDC: street scenes in fog, at night, in rain and in snow, 1,000 of each; finely annotated.

Source: Sakaridis, Dai, Van Gool: ACDC: The Adverse Conditions Dataset with Correspondences, ICCV 2021,
    https://acdc.vision.ee.ethz.ch (registration needed): rgb_anon_trainvaltest.zip and gt_trainval.zip.
Licence: non-commercial research; the data must not be passed on.
Splits: train 1,600, val 406 (night 106, the others 100), test 2,000 (labels are held back by the test server). The
    tag ``condition`` of a sample is fog, night, rain or snow. The <split>_ref folders hold images of the same places
    in clear weather, without labels; they are not read.
Layout: rgb_anon/<condition>/<split>/<sequence>/<stem>_rgb_anon.png (1920x1080) and
    gt/<condition>/<split>/<sequence>/<stem>_gt_labelTrainIds.png. Both zip archives can stay packed. Where these
    folders are not there, a copy that was flattened for the code of DAFormer, rgb_anon/<split>/<stem>_rgb_anon.png and
    gt/<split>/<stem>_gt_labelTrainIds.png, is read, too; then nobody knows the conditions, and no tag states one.
Labels: 8-bit grey with Cityscapes train ids, 0..18 and 255, as they come.
Our choice: the patterns of archive names, and the licence in short words; the homepage has the terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from adaptbench.contracts.dataset import Dataset, Sample, Split
from adaptbench.errors import DataError

_IMAGE_SUFFIX = "_rgb_anon.png"


class ACDC(Dataset):
    """See the header of this file."""

    name = "acdc"
    title = "ACDC (fog, night, rain, snow)"
    licence = "non-commercial research, no redistribution"
    homepage = "https://acdc.vision.ee.ethz.ch"
    id_space = "cityscapes_train"
    folders = ("acdc", "ACDC")
    image_size = (1920, 1080)
    training_size = (960, 540)
    splits: ClassVar[Mapping[str, Split]] = {
        "train": Split(count=1600),
        "val": Split(count=406),
        "test": Split(count=2000, labelled=False, note="labels are held back by the test server"),
    }
    label_folders = ("gt",)
    archives = ("rgb_anon*.zip", "gt_trainval*.zip")

    @classmethod
    def cluster(cls, name: str) -> str:
        """The video sequence."""
        return name.partition("_frame_")[0]

    def samples(self, split: str) -> list[Sample]:
        """All samples of ``split``, tagged with condition and sequence; those of a flat copy with the sequence."""
        self._split(split)
        try:
            images = self._images("rgb_anon", f"*/{split}/*/*{_IMAGE_SUFFIX}")
        except DataError:
            if not self._glob(f"rgb_anon/{split}", f"*{_IMAGE_SUFFIX}"):
                raise
            return [
                self._flat(image, split) for image in self._images(f"rgb_anon/{split}", f"*{_IMAGE_SUFFIX}")
            ]
        return [self._sample(image, split) for image in images]

    def _flat(self, image: Path, split: str) -> Sample:
        stem = image.name.removesuffix(_IMAGE_SUFFIX)
        label = self._place(f"gt/{split}/{stem}_gt_labelTrainIds.png")
        return Sample(stem, image, label, {"sequence": stem.partition("_frame_")[0]})

    def _sample(self, image: Path, split: str) -> Sample:
        stem, sequence = image.name.removesuffix(_IMAGE_SUFFIX), image.parent.name
        condition = image.parents[2].name
        label = self._place(f"gt/{condition}/{split}/{sequence}/{stem}_gt_labelTrainIds.png")
        return Sample(stem, image, label, {"condition": condition, "sequence": sequence})
