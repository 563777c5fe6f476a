"""GTA5 and SYNTHIA to unseen real streets: domain generalization from two labelled sources, 19 classes.

Training sees the images and labels of both sources, every image once per epoch in one random order, so that each
dataset counts by its number of images, as in the multi-source trainings of Rein (arXiv 2312.04265) and SoMA (arXiv
2412.04077). Terrain, truck and train, which are not among the 16 classes of SYNTHIA's own protocol, come from GTA5.
Every other dataset is closed while a training runs, its images included.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class GTA5SynthiaDG(Benchmark):
    """See the header of this file."""

    name = "gta5_synthia_dg"
    title = "GTA5 and SYNTHIA to unseen domains (domain generalization)"
    setting = "dg"
    class_set = "cityscapes19"
    source = (SplitRef("gta5", "all"), SplitRef("synthia", "all"))
    target = ()
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
