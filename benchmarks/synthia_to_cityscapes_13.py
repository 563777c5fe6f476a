"""SYNTHIA to Cityscapes with a head of 13 outputs: without wall, fence and pole, too.

Early papers train on these 13 classes. The mIoU13 of later ones is the mean over 13 of the 16 classes of
`synthia_to_cityscapes`, which is another number.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class SynthiaToCityscapes13(Benchmark):
    """See the header of this file."""

    name = "synthia_to_cityscapes_13"
    title = "SYNTHIA to Cityscapes (13 classes)"
    class_set = "cityscapes13"
    source = (SplitRef("synthia", "all"),)
    target = (SplitRef("cityscapes", "train"),)
    evaluation = (SplitRef("cityscapes", "val"),)
    also = (
        SplitRef("acdc", "val"),
        SplitRef("dark_zurich", "val"),
        SplitRef("bdd100k", "val"),
        SplitRef("mapillary", "validation"),
    )
    published = "synthia_to_cityscapes"
