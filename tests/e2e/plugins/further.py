"""The tiny benchmark with a split that is scored beside."""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class Further(Benchmark):
    """GTA5 to Cityscapes with the held-out source images."""

    name = "tiny"
    title = "Tiny, with a further split"
    class_set = "cityscapes19"
    source = (SplitRef("gta5", "all"),)
    target = (SplitRef("cityscapes", "train"),)
    evaluation = (SplitRef("cityscapes", "val"), SplitRef("gta5", "heldout", generated_only=True))
