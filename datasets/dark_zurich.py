"""Dark Zurich: Zurich by day, at twilight and at night; night images of the validation split are annotated.

Source: Sakaridis, Dai, Van Gool: Guided Curriculum Model Adaptation and Uncertainty-Aware Evaluation for Semantic
    Nighttime Image Segmentation, ICCV 2019, https://www.trace.ethz.ch/publications/2019/GCMA_UIoU:
    Dark_Zurich_train_anon.zip, Dark_Zurich_val_anon.zip and Dark_Zurich_test_anon_withoutGt.zip.
Licence: non-commercial research; the data must not be passed on.
Splits: train_day 3,041, train_twilight 2,920, train_night 2,416 (no labels at all), val 50 (labelled), test 151 (labels
    are held back by the test server). Published numbers are test numbers, which differ strongly from val. The
    <split>_ref folders hold images of the same places by day; they are not read.
Layout: rgb_anon/train/<time>/<sequence>/<stem>_rgb_anon.png, rgb_anon/<val|test>/night/.. (1920x1080) and
    gt/val/night/<sequence>/<stem>_gt_labelTrainIds.png. The zip archives can stay packed.
Labels: 8-bit grey with Cityscapes train ids, 0..18 and 255, as they come.
Our choice: the patterns of archive names, and the licence in short words; the homepage has the terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from adaptbench.contracts.dataset import Dataset, Sample, Split

_IMAGE_SUFFIX = "_rgb_anon.png"


class DarkZurich(Dataset):
    """See the header of this file."""

    name = "dark_zurich"
    title = "Dark Zurich (night)"
    licence = "non-commercial research, no redistribution"
    homepage = "https://www.trace.ethz.ch/publications/2019/GCMA_UIoU"
    id_space = "cityscapes_train"
    folders = ("dark_zurich", "Dark_Zurich", "DarkZurich")
    image_size = (1920, 1080)
    training_size = (960, 540)
    splits: ClassVar[Mapping[str, Split]] = {
        "train_day": Split(count=3041, labelled=False),
        "train_twilight": Split(count=2920, labelled=False),
        "train_night": Split(count=2416, labelled=False),
        "val": Split(count=50, note="published scores are those of test, which differ strongly"),
        "test": Split(count=151, labelled=False, note="labels are held back by the test server"),
    }
    label_folders = ("gt",)
    archives = ("Dark_Zurich_*.zip",)

    @classmethod
    def cluster(cls, name: str) -> str:
        """The video sequence."""
        return name.partition("_frame_")[0]

    def samples(self, split: str) -> list[Sample]:
        """All samples of ``split``, tagged with time of day and sequence; their labels need not exist."""
        self._split(split)
        part, _, time = split.partition("_")
        folder = f"{part}/{time or 'night'}"
        images = self._images(f"rgb_anon/{folder}", f"*/*{_IMAGE_SUFFIX}")
        return [self._sample(image, folder) for image in images]

    def _sample(self, image: Path, folder: str) -> Sample:
        stem, sequence = image.name.removesuffix(_IMAGE_SUFFIX), image.parent.name
        label = self._place(f"gt/{folder}/{sequence}/{stem}_gt_labelTrainIds.png")
        return Sample(stem, image, label, {"time_of_day": image.parents[1].name, "sequence": sequence})
