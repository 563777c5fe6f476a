"""CamVid at dusk as a stream: test-time adaptation of a network from the day, on real photographs, 11 classes.

A network is trained on the 406 images of the sequences filmed by day (0006R0 and 0016E5) with labels. Then the source
is closed, and the 62 images at dusk that are in test (0001TP) come once, frame after frame, without labels. Every
prediction counts as it is made. The 171 images of another sequence by day (Seq05VD), where they are there, are scored
before and after the stream, to tell what is forgotten. One drive and one camera: small differences say little.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from adaptbench.contracts.benchmark import Benchmark, Provenance, SplitRef, StreamOrder


class CamVidDuskStream(Benchmark):
    """See the header of this file."""

    name = "camvid_dusk_stream"
    title = "CamVid at dusk as a stream (real photographs)"
    setting = "tta"
    class_set = "camvid11"
    source = (SplitRef("camvid", "day"),)
    target = ()
    evaluation = (SplitRef("camvid", "test_dusk"),)
    also = (SplitRef("camvid", "test_day"),)
    provenance: ClassVar[Mapping[str, Provenance]] = {"camvid": "official"}
    stream = StreamOrder()
