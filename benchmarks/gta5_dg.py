"""GTA5 to unseen real streets: domain generalization, 19 classes.

Training sees GTA5 alone, images and labels; every other dataset is closed while it runs, its images included.
Cityscapes val is ranked; BDD100K val, Mapillary validation and the mean of the three are columns. The held-out source
images exist in generated worlds only: they show what the domain gap costs.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class GTA5DG(Benchmark):
    """See the header of this file."""

    name = "gta5_dg"
    title = "GTA5 to unseen domains (domain generalization)"
    version = 2
    setting = "dg"
    class_set = "cityscapes19"
    source = (SplitRef("gta5", "all"),)
    target = ()
    evaluation = (
        SplitRef("cityscapes", "val"),
        SplitRef("bdd100k", "val"),
        SplitRef("mapillary", "validation"),
        SplitRef("gta5", "heldout", generated_only=True),
    )
    averaged = evaluation[:3]
    also = (SplitRef("acdc", "val"), SplitRef("dark_zurich", "val"))
    published = "dg_gta5_to_cityscapes"
