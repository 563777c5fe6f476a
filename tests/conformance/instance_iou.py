"""IoU in which every object counts alike, however many pixels it has (Cityscapes' iIoU).

Pixels of an object are weighted by the mean size of its class over the size of the object; false positives are not.
All ids are Cityscapes label ids, of which some that are not scored belong to a category (caravans are vehicles).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaptbench.data.taxonomy import IGNORE, label_map

Floats = npt.NDArray[np.float64]
Groups = Sequence[Sequence[int]]

#: Label id -> mean number of pixels of an object in the training images. Source: cityscapesScripts.
MEAN_SIZE = {
    24: 3462.4756337644,
    25: 3930.4788056518,
    26: 12794.0202738185,
    27: 27855.1264367816,
    28: 35732.1511111111,
    31: 67583.7075812274,
    32: 6298.7200839748,
    33: 4672.3249222261,
}
#: Groups that are scored: every class of objects, and the categories that hold nothing but objects.
CLASSES: dict[str, tuple[int, ...]] = {
    "person": (24,),
    "rider": (25,),
    "car": (26,),
    "truck": (27,),
    "bus": (28,),
    "train": (31,),
    "motorcycle": (32,),
    "bicycle": (33,),
}
CATEGORIES: dict[str, tuple[int, ...]] = {"human": (24, 25), "vehicle": (26, 27, 28, 29, 30, 31, 32, 33)}
#: Instance ids of objects are their label id times this, plus a number; those of regions are label ids.
_PER_LABEL = 1000


@dataclass(frozen=True)
class InstanceCounts:
    """Weighted pixels of objects, per group of classes. Shape: ``(G,)`` each.

    Attributes:
        hit: pixels of objects of the group where one of its classes is predicted.
        missed: the others of these objects.
        objects: number of objects.
        false_positives: scored pixels of other groups where one of its classes is predicted; not weighted.
    """

    hit: Floats
    missed: Floats
    objects: npt.NDArray[np.int64]
    false_positives: npt.NDArray[np.int64]

    def __add__(self, other: InstanceCounts) -> InstanceCounts:
        return InstanceCounts(
            self.hit + other.hit,
            self.missed + other.missed,
            self.objects + other.objects,
            self.false_positives + other.false_positives,
        )

    @property
    def iou(self) -> Floats:
        """Instance IoU per group; NaN where there is neither an object nor a false positive. Units: 0..1."""
        whole = self.hit + self.missed + self.false_positives
        scores: Floats = np.full(len(whole), np.nan)
        np.divide(self.hit, whole, out=scores, where=whole > 0)
        return scores


def instance_counts(
    instances: npt.NDArray[np.integer],
    label: npt.NDArray[np.uint8],
    prediction: npt.NDArray[np.uint8],
    groups: Groups,
) -> InstanceCounts:
    """Counts of one image.

    Shape: ``(H, W)`` each.

    Args:
        instances: ids of the ``instanceIds`` file.
        label: true label ids.
        prediction: predicted label ids.
        groups: label ids that are scored as one.

    Source: Cordts et al., CVPR 2016, arXiv 1604.01685, section 4.1.
    """
    hit, missed = np.zeros((2, len(groups)))
    objects = np.zeros(len(groups), dtype=np.int64)
    for instance in np.unique(instances[instances > _PER_LABEL]):
        label_id = int(instance) // _PER_LABEL
        found = prediction[instances == instance]
        for number, group in enumerate(groups):
            if label_id in group and label_id in MEAN_SIZE:
                share = np.count_nonzero(np.isin(found, group)) / len(found)
                hit[number] += share * MEAN_SIZE[label_id]
                missed[number] += (1 - share) * MEAN_SIZE[label_id]
                objects[number] += 1
    scored = label_map("cityscapes", "cityscapes19")[label] != IGNORE
    wrong = [np.isin(prediction, group) & scored & ~np.isin(label, group) for group in groups]
    return InstanceCounts(hit, missed, objects, np.count_nonzero(wrong, axis=(1, 2)))
