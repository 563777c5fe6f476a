"""Rare class sampling: draw a class, then a file that shows it, then a crop that shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from adaptbench.data.label_ids import histogram

Crop = TypeVar("Crop")

IntArray = npt.NDArray[np.int64]
ClassCounts = Mapping[int, int]
"""Number of pixels of each class in one label file; ignored pixels and absent classes have no entry."""

MissingRule = Literal["error", "drop"]
"""What happens to a class that no file shows often enough, see `rare_class_sampler`."""

CHECKS = 10
"""Crops of one image that are checked; the next one is taken as it is."""


class ClassProbabilities(NamedTuple):
    """How likely each class is drawn. Shape: int64 (n,), rarest class first, and float32 (n,), sum 1."""

    classes: IntArray
    probabilities: npt.NDArray[np.float32]


class RareSample(NamedTuple):
    """A drawn class and the position of a drawn file that shows it."""

    class_id: int
    file: int


class AcceptedCrop(NamedTuple, Generic[Crop]):
    """The crop that is trained on and how many were drawn to find it."""

    crop: Crop
    drawn: int


@dataclass(frozen=True)
class RareClassSampler:
    """What does not change between draws: probabilities, and the files that show a class often enough."""

    classes: ClassProbabilities
    files: Mapping[int, IntArray]

    def draw(self, generator: np.random.Generator) -> RareSample:
        """Draw a class by its probability, then one of its files uniformly.

        Source: DAFormer, arXiv 2111.14887, section 3.3; docs/quirks.md#s48.
        """
        classes, probabilities = self.classes
        class_id = int(classes[generator.choice(len(classes), p=probabilities)])
        files = self.files[class_id]
        return RareSample(class_id, int(files[generator.choice(len(files))]))


def count_classes(label: npt.NDArray[np.uint8], ignore: int = 255) -> dict[int, int]:
    """Count the pixels of every class in a label, ascending, without ``ignore``. Shape: uint8, any."""
    return {class_id: pixels for class_id, pixels in histogram(label).items() if class_id != ignore}


def class_totals(files: Sequence[ClassCounts]) -> dict[int, int]:
    """Add up the pixels of each class over all files, classes in the order in which they appear."""
    totals: Counter[int] = Counter()
    for counts in files:
        totals.update(counts)
    return dict(totals)


def class_probabilities(totals: ClassCounts, temperature: float) -> ClassProbabilities:
    """Return softmax((1 - share) / temperature) of every class, rarest class first.

    share = pixels of the class / pixels of all classes. Classes with equal totals keep their order. The lower
    the temperature (0.01 in the papers), the more often rare classes are drawn.

    Raises:
        ValueError: there is no pixel or the temperature is not positive.

    Source: DAFormer, arXiv 2111.14887, rare class sampling (section 3.3); docs/quirks.md#s48.
    """
    if not temperature > 0:
        raise ValueError(f"temperature: expected a positive number, got {temperature}")
    if not sum(totals.values()) > 0:
        raise ValueError("totals: expected at least one labelled pixel, got none")
    classes = sorted(totals, key=lambda class_id: totals[class_id])
    pixels = torch.tensor([totals[class_id] for class_id in classes])
    rarity = 1 - pixels / pixels.sum()
    probabilities = (rarity / temperature).softmax(dim=0)
    return ClassProbabilities(np.array(classes, dtype=np.int64), probabilities.numpy())


def eligible_files(files: Sequence[ClassCounts], class_id: int, min_pixels: int) -> IntArray:
    """List the positions of the files with strictly more than ``min_pixels`` pixels of a class.

    Source: docs/quirks.md#s48.
    """
    enough = [index for index, counts in enumerate(files) if counts.get(class_id, 0) > min_pixels]
    return np.array(enough, dtype=np.int64)


def rare_class_sampler(
    files: Sequence[ClassCounts], temperature: float, min_pixels: int, missing: MissingRule = "error"
) -> RareClassSampler:
    """Prepare the sampling of a set of label files, by the pixels of each class in each file.

    See `class_probabilities` for the temperature and `eligible_files` for ``min_pixels`` (3000 in the
    papers). A class without eligible file is an ``error``, as published, or is ``drop`` ped, its probability
    going to the others in proportion.

    Raises:
        ValueError: a class has no eligible file and is not to be dropped, none has one, the temperature is
            not positive, or the rule is unknown.

    Source: DAFormer, arXiv 2111.14887, section 3.3; docs/quirks.md#s48.
    """
    if missing not in ("error", "drop"):
        raise ValueError(f"missing: expected 'error' or 'drop', got {missing!r}")
    classes, probabilities = class_probabilities(class_totals(files), temperature)
    eligible = {int(class_id): eligible_files(files, int(class_id), min_pixels) for class_id in classes}
    without = [class_id for class_id, positions in eligible.items() if positions.size == 0]
    if without and (missing == "error" or len(without) == len(eligible)):
        raise ValueError(
            f"rare class sampling: no file has more than {min_pixels} pixels of class "
            f"{', '.join(map(str, without))}"
        )
    if without:
        kept = ~np.isin(classes, without)
        classes, probabilities = classes[kept], probabilities[kept] / probabilities[kept].sum()
    return RareClassSampler(ClassProbabilities(classes, probabilities), eligible)


def accept_crop(
    draw: Callable[[], Crop],
    count: Callable[[Crop], int],
    min_pixels: int,
    min_crop_ratio: float,
    checks: int = CHECKS,
) -> AcceptedCrop[Crop]:
    """Draw crops of one image until one shows enough of the drawn class.

    A crop is accepted with strictly more than ``min_pixels * min_crop_ratio`` pixels of the class (3000 in
    the papers times 0.5 in DAFormer, 2 in HRDA). After ten rejected crops the eleventh is taken unchecked. A
    ratio of 0 switches the check off. The image stays the same, so `draw` need only draw a box and a flip.

    Raises:
        ValueError: the ratio or the number of checks is negative.

    Source: docs/quirks.md#s48.
    """
    if min_crop_ratio < 0 or checks < 0:
        raise ValueError(f"expected 0 or more, got min_crop_ratio {min_crop_ratio} and {checks} checks")
    crop, drawn = draw(), 1
    while min_crop_ratio > 0 and drawn <= checks and not count(crop) > min_pixels * min_crop_ratio:
        crop, drawn = draw(), drawn + 1
    return AcceptedCrop(crop, drawn)
