"""HRDA for domain generalization: source images alone, with or without SHADE (Hoyer et al., TPAMI 2024).

A training step is that of `methods/daformer_dg.py`, with the passes of `methods/hrda.py` in 4, and base styles (2) at
the context scale.

Quirks are those of both. With SHADE the published detail crop is smaller than HRDA's, because twice the batch has to
fit into 24 GB. Without it (``style_hallucination=false``) it is HRDA's: add ``detail_crop=512``, in mini
``detail_crop=128``.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from adaptbench.contracts.method import PublishedSettings
from adaptbench.contracts.profiles import Length
from adaptbench.contracts.task import Task
from adaptbench.draws import Draws
from adaptbench.networks.hrda import HRDASegmentor
from adaptbench.networks.inference import Mode
from methods.dacs import PassName, PassOutput
from methods.daformer_dg import DAFormerDG
from methods.hrda import TwoScales, TwoScaleSettings, build_two_scales


class HRDADG(DAFormerDG["HRDADG.Settings"]):
    """HRDA's network and DAFormer's training strategies on the source alone."""

    name = "hrda_dg"
    title = "HRDA (DG)"
    paper = "arXiv:2304.13615"
    tags = ("domain-generalization",)

    student: HRDASegmentor

    def __init__(self, task: Task, settings: HRDADG.Settings) -> None:
        super().__init__(task, settings)
        self.scales = TwoScales(self.student, settings)

    def build_student(self) -> HRDASegmentor:
        """HRDA around the network of the settings."""
        return build_two_scales(self.settings, len(self.task.class_set), self.adapter(self.settings))

    def train_pass(
        self, image: Tensor, label: Tensor, weight: Tensor | None, name: PassName, draws: Draws
    ) -> PassOutput:
        """One training pass of the student over the context and a detail crop."""
        return self.scales.pass_output(image, self.scales.forward(image, name, draws), label, weight, name)

    def style_scale(self) -> float:
        """That of the context."""
        return self.settings.context_scale

    def inference(self) -> Mode:
        """Windows as large as crops, or whole images as far as both scales have a grid for them."""
        return self.scales.inference(self.settings.crop)

    class Settings(TwoScaleSettings, DAFormerDG.Settings):  # pydantic: the first one's defaults win
        """Settings of both scales and of SHADE."""

        detail_crop: Length = Field(384, ge=8, description="side of the detail crop in pixels of the crop")

    published: ClassVar[PublishedSettings] = {("gta5_dg", "daformer-mit_b5"): {}}
