"""BDD100K, the 10k images with semantic labels: drives through US cities, seen by phones behind the windscreen.

Source: Yu et al.: BDD100K: A Diverse Driving Dataset for Heterogeneous Multitask Learning, CVPR 2020,
    https://bdd-data.berkeley.edu (registration needed): "10K Images" and "Semantic Segmentation".
Licence: research and education, not for profit; see the homepage.
Splits: train 7,000, val 1,000, test 2,000 (no labels). They are not a subset of the 100k images.
Layout: images/10k/<split>/<name>.jpg (1280x720) and labels/sem_seg/masks/<split>/<name>.png, with or without the
    folder bdd100k above them; or the older seg/images/<split>/<name>.jpg and seg/labels/<split>/<name>_train_id.png.
    The zip archives can stay packed.
Labels: 8-bit grey with Cityscapes train ids, 0..18 and 255, as they come. BDD100K's own label ids, in files of other
    tasks, are no Cityscapes ids (id space ``bdd100k_labels``).
Known problems: an early zip of the images has six without a label, and six labels without an image (`broken`). Many
    labels of night images are wrong.
Our choice: the training size, the patterns of archive names, and the licence in short words (see the homepage).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from adaptbench.contracts.dataset import Dataset, Sample, Split

_NO_LABEL = "an early zip of the images holds it, but there is no label"
_NO_IMAGE = "there is a label, but an early zip of the images lacks it"


class BDD100K(Dataset):
    """See the header of this file."""

    name = "bdd100k"
    title = "BDD100K (10k, semantic segmentation)"
    licence = "research and education, not for profit"
    homepage = "https://bdd-data.berkeley.edu"
    id_space = "cityscapes_train"
    folders = ("bdd100k", "BDD100K", "bdd")
    image_size = (1280, 720)
    training_size = (1280, 720)
    splits: ClassVar[Mapping[str, Split]] = {
        "train": Split(count=7000),
        "val": Split(count=1000),
        "test": Split(count=2000, labelled=False),
    }
    label_folders = ("labels", "bdd100k/labels", "seg/labels", "seg/color_labels")
    archives = ("bdd100k_images_10k*.zip", "bdd100k_sem_seg*.zip", "10k_images*.zip", "bdd100k_seg*.zip")
    lookalikes: ClassVar[Mapping[str, str]] = {
        f"{base}images/100k": f"{base}images/100k holds the 100k images, which have no semantic labels: "
        "the archive is called '10K Images'."
        for base in ("", "bdd100k/")
    }
    broken: ClassVar[Mapping[str, str]] = {
        "3d581db5-2564fb7e": _NO_LABEL,
        "52e3fd10-c205dec2": _NO_LABEL,
        "781756b0-61e0a182": _NO_LABEL,
        "78ac84ba-07bd30c2": _NO_LABEL,
        "80a9e37d-e4548ac1": _NO_LABEL,
        "9342e334-33d167eb": _NO_LABEL,
        "fee92217-63b3f87f": _NO_IMAGE,
        "ff1e4d6d-f4d85cfd": _NO_IMAGE,
        "ff3d3536-04986e25": _NO_IMAGE,
        "ff3da814-c3463a43": _NO_IMAGE,
        "ff55861e-a06b953c": _NO_IMAGE,
        "ff7b98c7-3cb964ac": _NO_IMAGE,
    }

    def samples(self, split: str) -> list[Sample]:
        """All images of ``split``; their labels need not exist."""
        self._split(split)
        base = self._first_folder("images/10k", "bdd100k/images/10k", "seg/images")
        return [
            Sample(image.stem, image, self._place(_label(base, split, image.stem)))
            for image in self._images(f"{base}/{split}", "*.jpg")
        ]


def _label(base: str, split: str, name: str) -> str:
    """Path of a label in the tree whose images are in ``base``."""
    if base == "seg/images":
        return f"seg/labels/{split}/{name}_train_id.png"
    return f"{base.removesuffix('images/10k')}labels/sem_seg/masks/{split}/{name}.png"
