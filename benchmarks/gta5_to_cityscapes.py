"""GTA5 to Cityscapes: the standard synthetic-to-real problem, 19 classes.

Training sees all GTA5 images with labels and the Cityscapes training images without; Cityscapes val is
scored. The held-out source images exist in generated worlds only: they show what the domain gap costs.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class GTA5ToCityscapes(Benchmark):
    """See the header of this file."""

    name = "gta5_to_cityscapes"
    title = "GTA5 to Cityscapes"
    class_set = "cityscapes19"
    source = (SplitRef("gta5", "all"),)
    target = (SplitRef("cityscapes", "train"),)
    evaluation = (SplitRef("cityscapes", "val"), SplitRef("gta5", "heldout", generated_only=True))
    also = (
        SplitRef("acdc", "val"),
        SplitRef("dark_zurich", "val"),
        SplitRef("bdd100k", "val"),
        SplitRef("mapillary", "validation"),
    )
    published = "gta5_to_cityscapes"
