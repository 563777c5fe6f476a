"""SYNTHIA to Cityscapes: the second standard problem, 16 classes.

SYNTHIA shows no terrain, truck or train: the head has 16 outputs, and the three are ignored in the truth. Training
sees all SYNTHIA images with labels and the Cityscapes training images without. The convention of HRDA and
DAFormer, 16 of the outputs of a 19-way head, is another one and its numbers do not compare.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class SynthiaToCityscapes(Benchmark):
    """See the header of this file."""

    name = "synthia_to_cityscapes"
    title = "SYNTHIA to Cityscapes"
    class_set = "cityscapes16"
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
