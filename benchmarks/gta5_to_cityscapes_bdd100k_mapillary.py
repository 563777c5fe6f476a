"""GTA5 to Cityscapes, BDD100K and Mapillary at once: one network for a compound target, 19 classes.

Training sees all GTA5 images with labels and the training images of all three without, as one domain: which image
comes from where is not told. Cityscapes val is ranked; the other two and the mean of the three are columns.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class GTA5ToThreeTargets(Benchmark):
    """See the header of this file."""

    name = "gta5_to_cityscapes_bdd100k_mapillary"
    title = "GTA5 to Cityscapes, BDD100K and Mapillary"
    class_set = "cityscapes19"
    source = (SplitRef("gta5", "all"),)
    target = (
        SplitRef("cityscapes", "train"),
        SplitRef("bdd100k", "train"),
        SplitRef("mapillary", "training"),
    )
    evaluation = (
        SplitRef("cityscapes", "val"),
        SplitRef("bdd100k", "val"),
        SplitRef("mapillary", "validation"),
    )
    averaged = evaluation
    also = (
        SplitRef("acdc", "val"),
        SplitRef("dark_zurich", "val"),
    )
