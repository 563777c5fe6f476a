"""Cityscapes to ACDC: from clear weather by day to fog, night, rain and snow, 19 classes.

Training sees the Cityscapes training images with labels and the ACDC training images of all four conditions
without; ACDC val is scored. Samples are tagged with their condition, and every job keeps one confusion matrix per
image. Published numbers are mostly of the test split, whose labels the server holds back.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class CityscapesToACDC(Benchmark):
    """See the header of this file."""

    name = "cityscapes_to_acdc"
    title = "Cityscapes to ACDC (fog, night, rain, snow)"
    class_set = "cityscapes19"
    source = (SplitRef("cityscapes", "train"),)
    target = (SplitRef("acdc", "train"),)
    evaluation = (SplitRef("acdc", "val"),)
    also = (
        SplitRef("cityscapes", "val"),
        SplitRef("dark_zurich", "val"),
        SplitRef("bdd100k", "val"),
        SplitRef("mapillary", "validation"),
    )
    published = "cityscapes_to_acdc"
