"""Cityscapes to Dark Zurich: from day to night, 19 classes.

Training sees the Cityscapes training images with labels and the night images of Dark Zurich without; its 50
labelled night images of val are scored. Published numbers are of the test split, which differs strongly from val.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class CityscapesToDarkZurich(Benchmark):
    """See the header of this file."""

    name = "cityscapes_to_dark_zurich"
    title = "Cityscapes to Dark Zurich (night)"
    class_set = "cityscapes19"
    source = (SplitRef("cityscapes", "train"),)
    target = (SplitRef("dark_zurich", "train_night"),)
    evaluation = (SplitRef("dark_zurich", "val"),)
    also = (
        SplitRef("cityscapes", "val"),
        SplitRef("acdc", "val"),
        SplitRef("bdd100k", "val"),
        SplitRef("mapillary", "validation"),
    )
    published = "cityscapes_to_darkzurich"
