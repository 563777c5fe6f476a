"""IDD (India Driving Dataset), Part I: drives in and around Hyderabad and Bengaluru, on roads without much order.

Source: Varma, Subramanian, Namboodiri, Chandraker, Jawahar: IDD: A Dataset for Exploring Problems of Autonomous
    Navigation in Unconstrained Environments, WACV 2019, https://idd.insaan.iiit.ac.in (registration needed): "IDD
    Segmentation (IDD 20k Part I)", a tar.gz archive that has to be unpacked.
Licence: the terms that are agreed to on registration; see the homepage.
Splits: train 6,993, val 981, test 2,029 (labels are held back by the test server). Part II (folder idd20kII, JPEGs) is
    another set of images with splits of its own, and not read.
Layout: leftImg8bit/<split>/<drive>/<frame>_leftImg8bit.png (most 1920x1080) and
    gtFine/<split>/<drive>/<frame>_gtFine_polygons.json. Frames of different drives may have the same number.
Labels: polygons in the order in which they are painted, as the authors' tool createLabels.py paints them
    (https://github.com/AutoNUE/public-code); its output need not be there, and is not read. Names become the 19 classes
    of Cityscapes as ``csTrainId`` of its anue_labels.py has them: non-drivable fallback is terrain; auto rickshaws,
    animals, curbs, billboards, groups of poles, parking, guard rails, bridges and what else is called fallback have no
    class. Scores over the 26 classes of the authors' own challenge (level 3) do not compare.
Our choice: the training size. The counts were not counted on the official files; the sizes of MSeg's file lists
    (https://github.com/mseg-dataset/mseg-api, idd-40) agree with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from adaptbench.contracts.dataset import Dataset, Sample, Split
from adaptbench.data import files
from adaptbench.data.taxonomy import CITYSCAPES19, IGNORE
from adaptbench.errors import DataError

_IMAGE_SUFFIX = "_leftImg8bit.png"
#: Ending of the name of a polygon that holds several objects of a class.
_GROUP = "group"

_WITHOUT_CLASS = (
    "parking", "drivable fallback", "rail track", "animal", "autorickshaw", "caravan", "trailer", "vehicle fallback",
    "curb", "guard rail", "billboard", "polegroup", "obs-str-bar-fallback", "bridge", "tunnel", "fallback background",
    "unlabeled", "ego vehicle", "rectification border", "out of roi", "license plate",
)  # fmt: skip
#: Name of a polygon -> train id. 18 of the classes have the names of Cityscapes.
_TRAIN_ID: Mapping[str, int] = {
    **{name: train_id for train_id, name in enumerate(CITYSCAPES19.classes) if name != "terrain"},
    "non-drivable fallback": CITYSCAPES19.classes.index("terrain"),
    **dict.fromkeys(_WITHOUT_CLASS, IGNORE),
}


class IDD(Dataset):
    """See the header of this file."""

    name = "idd"
    title = "IDD (India Driving Dataset, Part I)"
    licence = "terms agreed to on registration"
    homepage = "https://idd.insaan.iiit.ac.in"
    id_space = "cityscapes_train"
    folders = ("idd", "IDD", "IDD_Segmentation")
    image_size = (1920, 1080)
    other_sizes = None
    training_size = (960, 540)
    splits: ClassVar[Mapping[str, Split]] = {
        "train": Split(count=6993),
        "val": Split(count=981),
        "test": Split(count=2029, labelled=False, note="labels are held back by the test server"),
    }
    label_folders = ("gtFine",)

    @classmethod
    def cluster(cls, name: str) -> str:
        """The drive."""
        return name.partition("_")[0]

    def samples(self, split: str) -> list[Sample]:
        """All samples of ``split``, tagged with their drive; the label files need not exist."""
        self._split(split)
        found = []
        for image in self._images(f"leftImg8bit/{split}", f"*/*{_IMAGE_SUFFIX}"):
            drive, frame = image.parent.name, image.name.removesuffix(_IMAGE_SUFFIX)
            label = self.root / f"gtFine/{split}/{drive}/{frame}_gtFine_polygons.json"
            found.append(Sample(f"{drive}_{frame}", image, label, {"sequence": drive}))
        return found

    def decode_label(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """The polygons painted one over the other, in train ids. Shape: ``(H, W)`` uint8.

        Raises:
            DataError: the file is missing or damaged, or holds other things than polygons with known names.
        """
        drawing = files.read_json(sample.label)
        try:
            return _painted(drawing)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(
                f"{sample.label} is no drawing of IDD ({type(error).__name__}: {error}). Expected imgWidth, imgHeight "
                "and objects, each with a label of anue_labels.py and a polygon of two points or more. Put the "
                "official file there."
            ) from error


def _painted(drawing: Any) -> npt.NDArray[np.uint8]:
    label = Image.new("L", (drawing["imgWidth"], drawing["imgHeight"]), IGNORE)
    brush = ImageDraw.Draw(label)
    for each in drawing["objects"]:
        if not each.get("deleted"):
            brush.polygon([(x, y) for x, y in each["polygon"]], fill=_train_id(each["label"]))
    return np.array(label)


def _train_id(name: str) -> int:
    known = name if name in _TRAIN_ID else name.removesuffix(_GROUP)
    if known not in _TRAIN_ID:
        raise ValueError(f"no label is called {name!r}")
    return _TRAIN_ID[known]
