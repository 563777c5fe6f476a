"""Synscapes to Cityscapes: a photorealistic source, 19 classes.

Training sees all Synscapes images with labels and the Cityscapes training images without; Cityscapes val is scored.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class SynscapesToCityscapes(Benchmark):
    """See the header of this file."""

    name = "synscapes_to_cityscapes"
    title = "Synscapes to Cityscapes"
    class_set = "cityscapes19"
    source = (SplitRef("synscapes", "all"),)
    target = (SplitRef("cityscapes", "train"),)
    evaluation = (SplitRef("cityscapes", "val"),)
    also = (
        SplitRef("acdc", "val"),
        SplitRef("dark_zurich", "val"),
        SplitRef("bdd100k", "val"),
        SplitRef("mapillary", "validation"),
    )
    published = "synscapes_to_cityscapes"
