"""GTA5 to BDD100K: phones behind windscreens, at all hours, 19 classes.

Training sees all GTA5 images with labels and the BDD100K (10k) training images without; its val is scored.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class GTA5ToBDD100K(Benchmark):
    """See the header of this file."""

    name = "gta5_to_bdd100k"
    title = "GTA5 to BDD100K"
    class_set = "cityscapes19"
    source = (SplitRef("gta5", "all"),)
    target = (SplitRef("bdd100k", "train"),)
    evaluation = (SplitRef("bdd100k", "val"),)
    also = (
        SplitRef("cityscapes", "val"),
        SplitRef("mapillary", "validation"),
        SplitRef("acdc", "val"),
        SplitRef("dark_zurich", "val"),
    )
