"""CamVid by day to CamVid at dusk: real photographs on both sides, 11 classes.

Training sees the 406 images of the sequences filmed by day (0006R0 and 0016E5) with labels, and the 62 images of the
sequence filmed at dusk (0001TP) that are in train, without. The 62 of the same sequence that are in test are scored;
beside them, to tell a network that adapts from one that forgets, the 171 images of another sequence by day (Seq05VD),
which no training sees. One drive and one camera: small differences say little. All images are 480x360.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from adaptbench.contracts.benchmark import Benchmark, Provenance, SplitRef


class CamVidDayToDusk(Benchmark):
    """See the header of this file."""

    name = "camvid_day_to_dusk"
    title = "CamVid by day to CamVid at dusk (real photographs)"
    class_set = "camvid11"
    source = (SplitRef("camvid", "day"),)
    target = (SplitRef("camvid", "dusk"),)
    evaluation = (SplitRef("camvid", "test_dusk"),)
    also = (SplitRef("camvid", "test_day"),)
    provenance: ClassVar[Mapping[str, Provenance]] = {"camvid": "official"}
