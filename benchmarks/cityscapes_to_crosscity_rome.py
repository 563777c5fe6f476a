"""Cityscapes to Rome (Cross-City): another city, 13 classes.

Training sees the Cityscapes training images with labels and the 3,200 training images of Rome without; its 100
labelled images are scored. The other three cities are columns.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class CityscapesToCrossCityRome(Benchmark):
    """See the header of this file."""

    name = "cityscapes_to_crosscity_rome"
    title = "Cityscapes to Rome (Cross-City)"
    class_set = "cityscapes13"
    source = (SplitRef("cityscapes", "train"),)
    target = (SplitRef("crosscity", "rome_train"),)
    evaluation = (SplitRef("crosscity", "rome_test"),)
    also = (
        SplitRef("crosscity", "rio_test"),
        SplitRef("crosscity", "taipei_test"),
        SplitRef("crosscity", "tokyo_test"),
        SplitRef("cityscapes", "val"),
    )
    published = "cityscapes_to_crosscity_rome"
