"""GTA5, SYNTHIA and UrbanSyn to unseen real streets: domain generalization from three labelled sources, 19 classes.

Training sees the images and labels of all three, every image once per epoch in one random order, so that each dataset
counts by its number of images, as in the trainings on synthetic data alone of Rein (arXiv 2312.04265) and SoMA (arXiv
2412.04077). Every other dataset is closed while a training runs, its images included.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class GTA5SynthiaUrbanSynDG(Benchmark):
    """See the header of this file."""

    name = "gta5_synthia_urbansyn_dg"
    title = "GTA5, SYNTHIA and UrbanSyn to unseen domains (domain generalization)"
    setting = "dg"
    class_set = "cityscapes19"
    source = (SplitRef("gta5", "all"), SplitRef("synthia", "all"), SplitRef("urbansyn", "all"))
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
        SplitRef("idd", "val"),
        SplitRef("wilddash2", "public"),
    )
    published = "dg_gta5_synthia_urbansyn_to_cityscapes"
