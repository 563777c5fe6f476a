"""Cityscapes to ACDC as a stream: test-time adaptation to fog, night, rain and snow, again and again, 19 classes.

A network is trained on the Cityscapes training images with labels. Then the source is closed, and the 1,600 ACDC
training images come one after the other, without labels: all of fog, night, rain and snow, 400 of each, and that ten
times, as CoTTA does. Every prediction counts as it is made. In profiles mini and small there are three rounds, and
MiniCity has 60 images of each condition. Cityscapes val is scored before and after the stream, to tell what is
forgotten; ACDC val with the network after the stream, which learns nothing from it.

Within a condition the images come in the order of their names, where the published code takes that of the folder's
listing (docs/quirks.md#t27).

Source: CoTTA, arXiv 2203.13591, section 4.
"""

from __future__ import annotations

from adaptbench.contracts.benchmark import Benchmark, SplitRef, StreamOrder


class CityscapesToACDCStream(Benchmark):
    """See the header of this file."""

    name = "cityscapes_to_acdc_stream"
    title = "Cityscapes to ACDC as a stream (fog, night, rain, snow)"
    setting = "tta"
    class_set = "cityscapes19"
    source = (SplitRef("cityscapes", "train"),)
    target = ()
    evaluation = (SplitRef("acdc", "train"), SplitRef("cityscapes", "val"))
    also = (SplitRef("acdc", "val"),)
    published = "cityscapes_to_acdc_stream"
    stream = StreamOrder(conditions=("fog", "night", "rain", "snow"), rounds=10)
