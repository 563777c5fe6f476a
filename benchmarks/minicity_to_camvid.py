"""MiniCity to CamVid: a generated source and real photographs, 11 classes.

The source is MiniCity in the layout of GTA5, whatever ``--data`` says; the target is always the real CamVid, its 367
training images without labels. Its 101 validation images are scored, since everybody has them all; beside them those
of test at dusk and by day, which are no neighbours of training images by day. Cityscapes ids are mapped to the 11
classes by the table ``camvid11`` in `adaptbench.data.taxonomy`. In profile small source and target are equally high,
640x360 and 480x360 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from adaptbench.contracts.benchmark import Benchmark, Provenance, SplitRef


class MiniCityToCamVid(Benchmark):
    """See the header of this file."""

    name = "minicity_to_camvid"
    title = "MiniCity to CamVid (real photographs)"
    class_set = "camvid11"
    source = (SplitRef("gta5", "all"),)
    target = (SplitRef("camvid", "train"),)
    evaluation = (SplitRef("camvid", "val"), SplitRef("gta5", "heldout", generated_only=True))
    also = (SplitRef("camvid", "test_dusk"), SplitRef("camvid", "test_day"))
    provenance: ClassVar[Mapping[str, Provenance]] = {"gta5": "generated", "camvid": "official"}
