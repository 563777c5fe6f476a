"""A benchmark that is quick to score: one split instead of two."""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class Tiny(Benchmark):
    """GTA5 to Cityscapes without the held-out source images."""

    name = "tiny"
    title = "Tiny"
    class_set = "cityscapes19"
    source = (SplitRef("gta5", "all"),)
    target = (SplitRef("cityscapes", "train"),)
    evaluation = (SplitRef("cityscapes", "val"),)
