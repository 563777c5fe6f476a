"""SYNTHIA to unseen real streets: domain generalization, 16 classes.

Training sees SYNTHIA alone; every scored dataset is closed while it runs, its images included. Cityscapes val is
ranked; BDD100K val, Mapillary validation and the mean of the three are columns.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class SynthiaDG(Benchmark):
    """See the header of this file."""

    name = "synthia_dg"
    title = "SYNTHIA to unseen domains (domain generalization)"
    setting = "dg"
    class_set = "cityscapes16"
    source = (SplitRef("synthia", "all"),)
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
