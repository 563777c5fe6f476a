"""GTA5 to Mapillary Vistas: streets of the whole world, cameras of all sizes, 19 classes.

Training sees all GTA5 images with labels and the Mapillary training images without; its validation split is scored,
with the mapping to 19 classes of RobustNet and HRDA at the size of the label files.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class GTA5ToMapillary(Benchmark):
    """See the header of this file."""

    name = "gta5_to_mapillary"
    title = "GTA5 to Mapillary Vistas"
    class_set = "cityscapes19"
    source = (SplitRef("gta5", "all"),)
    target = (SplitRef("mapillary", "training"),)
    evaluation = (SplitRef("mapillary", "validation"),)
    also = (
        SplitRef("cityscapes", "val"),
        SplitRef("bdd100k", "val"),
        SplitRef("acdc", "val"),
        SplitRef("dark_zurich", "val"),
    )
