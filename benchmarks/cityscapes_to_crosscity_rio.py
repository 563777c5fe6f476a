"""Cityscapes to Rio (Cross-City): another city, 13 classes.

Training sees the Cityscapes training images with labels and the 3,200 training images of Rio without; its 100
labelled images are scored. The other three cities are columns.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef


class CityscapesToCrossCityRio(Benchmark):
    """See the header of this file."""

    name = "cityscapes_to_crosscity_rio"
    title = "Cityscapes to Rio (Cross-City)"
    class_set = "cityscapes13"
    source = (SplitRef("cityscapes", "train"),)
    target = (SplitRef("crosscity", "rio_train"),)
    evaluation = (SplitRef("crosscity", "rio_test"),)
    also = (
        SplitRef("crosscity", "rome_test"),
        SplitRef("crosscity", "taipei_test"),
        SplitRef("crosscity", "tokyo_test"),
        SplitRef("cityscapes", "val"),
    )
    published = "cityscapes_to_crosscity_rio"
