"""A tiny stream, and methods that adapt to it: one that takes its time, and one that looks at the source."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from adaptbench.contracts.benchmark import Benchmark, SplitRef, StreamOrder
from adaptbench.networks.inference import Mode, Size
from adaptbench.test_time.decisions import Drawn
from adaptbench.test_time.segmenters import Predicted, Segmenter
from methods.tent import Tent


class TinyStream(Benchmark):
    """Cityscapes to two conditions of ACDC."""

    name = "tiny"
    title = "Tiny stream"
    setting = "tta"
    class_set = "cityscapes19"
    source = (SplitRef("cityscapes", "train"),)
    target = ()
    evaluation = (SplitRef("acdc", "train"), SplitRef("cityscapes", "val"))
    stream = StreamOrder(("snow", "fog"), rounds=3)


class _Slow(Segmenter):
    """Another segmenter, with a pause before every image, so that a test can kill it between two."""

    def __init__(self, other: Segmenter) -> None:
        self._other = other
        self.network, self.parts = other.network, other.parts  # type: ignore[method-assign]

    def __call__(self, image: Tensor, size: Size, drawn: Drawn) -> Predicted:
        time.sleep(0.3)
        return self._other(image, size, drawn)

    def network(self) -> nn.Module:
        raise AssertionError("that of the other is called")


class SlowTent(Tent):
    """Goes on from image to image, slowly."""

    name = "slow_tent"
    title = "Slow TENT"
    paper = None
    tags = ("test-time",)

    @classmethod
    def start(cls, network: nn.Module, settings: Any, mode: Mode) -> Segmenter:
        return _Slow(super().start(network, settings, mode))


class _Peeking(_Slow):
    """Opens an image of the source, and hides that it was refused."""

    def __call__(self, image: Tensor, size: Size, drawn: Drawn) -> Predicted:
        for world in Path(os.environ["ADAPTBENCH_CACHE"]).glob("minicity/cityscapes-*"):
            with contextlib.suppress(Exception):
                next(world.glob("leftImg8bit/train/*/*.png")).read_bytes()
        return self._other(image, size, drawn)


class PeeksAtSource(Tent):
    """Looks at the source while it adapts."""

    name = "peeks_at_source"
    title = "Peeks at the source"
    paper = None
    tags = ("test-time",)

    @classmethod
    def start(cls, network: nn.Module, settings: Any, mode: Mode) -> Segmenter:
        return _Peeking(super().start(network, settings, mode))
