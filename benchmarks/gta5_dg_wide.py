"""GTA5 to five unseen sets of real streets, with India and WildDash: domain generalization, 19 classes.

Trainings are those of `gta5_dg`, and shared with it. Cityscapes val is ranked; BDD100K val, Mapillary validation, IDD
val, WildDash 2 and the mean of the five, which is a choice of this project, are columns.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class GTA5DGWide(Benchmark):
    """See the header of this file."""

    name = "gta5_dg_wide"
    title = "GTA5 to five unseen domains (domain generalization)"
    setting = "dg"
    class_set = "cityscapes19"
    source = (SplitRef("gta5", "all"),)
    target = ()
    evaluation = (
        SplitRef("cityscapes", "val"),
        SplitRef("bdd100k", "val"),
        SplitRef("mapillary", "validation"),
        SplitRef("idd", "val"),
        SplitRef("wilddash2", "public"),
    )
    averaged = evaluation
    also = (
        SplitRef("acdc", "val"),
        SplitRef("dark_zurich", "val"),
    )
