"""A method that labels the target with the source's network, slowly, and trains on these labels."""

from __future__ import annotations

import time

from torch import Tensor

from adaptbench.contracts.labelling import Labeller, PseudoLabel
from adaptbench.contracts.method import Method, Stage
from adaptbench.contracts.settings import Settings
from adaptbench.networks.inference import Size
from methods.source_only import SourceOnly


class SlowLabeller(Labeller):
    """Takes its time, so that a test can kill it between two images."""

    def label(self, method: Method, image: Tensor, size: Size) -> PseudoLabel:
        time.sleep(0.5)
        return super().label(method, image, size)


class Distilled(SourceOnly):
    """Learns the target from the labels of the source-only network."""

    name = "distilled"
    title = "Distilled"
    paper = None
    tags = ()

    @classmethod
    def stages(cls, settings: Settings) -> list[Stage]:
        return [
            Stage("source", SourceOnly, settings),
            Stage("labels", SourceOnly, settings, start=0, labeller=SlowLabeller()),
            Stage("target", cls, settings, labels=1),
        ]
