"""A benchmark of 16 classes that is quick to score."""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class TinySixteen(Benchmark):
    """GTA5 to Cityscapes in the classes of SYNTHIA: the images are those of the other tiny benchmark."""

    name = "tiny"
    title = "Tiny"
    class_set = "cityscapes16"
    source = (SplitRef("gta5", "all"),)
    target = (SplitRef("cityscapes", "train"),)
    evaluation = (SplitRef("cityscapes", "val"),)
