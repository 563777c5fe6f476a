"""HRDA on MinEnt: entropy minimisation on a context crop and a detail crop (HRDA, ECCV 2022, table 2).

MinEnt as it was re-run in the framework of HRDA, on crops and images twice as large and with HRDA's network around
DeepLabV2. A training step:

1. The student predicts source images on both scales and fused, as in `methods/hrda.py`.
2. It learns them: cross entropy of the fused prediction and of the detail.
3. It predicts target images likewise.
4. Fused logits are resized to the size of the context.
5. The entropy of their prediction is the uncertainty of every pixel.
6. The student learns to be certain: the mean entropy times a small weight.

Published: 46.7 mIoU on GTA5 to Cityscapes (cityscapes19, val; mean of 3 seeds) instead of 44.3. Neither rare class
sampling nor feature distance, which are DAFormer's; both are options.

Quirks of the published behaviour beside those of `methods/minent.py` and `methods/hrda.py`, kept as defaults:

- on the target, too, the detail is seen in one random crop, not in windows, and with gradients;
- the entropy is taken of the fused logits, resized to the size of the context, which is half of the crop;
- test images are seen whole (`inference`); HRDA itself slides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from adaptbench.adaptation.seg_loss import resize_logits
from adaptbench.contracts.method import LossGroup, PublishedSettings
from adaptbench.contracts.profiles import Length
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch
from adaptbench.data.sampling import Sampling
from adaptbench.networks.hrda import HRDASegmentor
from adaptbench.networks.inference import Mode
from adaptbench.networks.pretrained.published import SELF_TRAINING
from methods.daformer import imagenet_distance
from methods.hrda import TwoScales, TwoScaleSettings, build_two_scales
from methods.minent import MinEnt, OutputAdaptation, Outputs, RerunSettings

S = TypeVar("S", bound="TwoScaleOutputs.Settings", default=Any)


class TwoScaleOutputs(OutputAdaptation[S]):
    """The fused output of HRDA's network in the place of those of a single scale."""

    published_files = SELF_TRAINING

    student: HRDASegmentor  # type: ignore[assignment]

    def __init__(self, task: Task, settings: S) -> None:
        super().__init__(task, settings)
        self.imagenet = imagenet_distance(self, settings)
        self.scales = TwoScales(self.student, settings)

    def build_student(self) -> HRDASegmentor:
        """HRDA around the network of the settings."""
        return build_two_scales(self.settings, len(self.task.class_set), self.adapter(self.settings))

    @classmethod
    def sampling(cls, settings: S) -> Sampling:
        """Crops, with distorted colours and rare class sampling as far as they are on."""
        return replace(super().sampling(settings), rare=settings.rare_classes())

    def source_pass(self, batch: Batch) -> tuple[LossGroup, Outputs]:
        """Losses of both scales, and the fused logits."""
        image, label = batch.source.image, batch.source.label
        fused = self.scales.forward(image, "source", batch.draws)  # 1
        output = self.scales.pass_output(image, fused, label, None, "source")  # 2
        distance = self.imagenet.loss(label, output.views, self.observe) if self.imagenet else {}
        return {**output.losses, **distance}, self._outputs(image, output.logits)

    def target_pass(self, batch: Batch) -> Outputs:
        """The fused logits on the target, the detail seen in a random crop."""
        assert batch.target is not None
        image = batch.target.image
        return self._outputs(image, self.scales.forward(image, "target", batch.draws).fused)  # 3

    def _outputs(self, image: Tensor, fused: Tensor) -> Outputs:
        """At the size of the context."""
        height, width = (int(side * self.settings.context_scale) for side in image.shape[-2:])
        return {"main": resize_logits(fused, (height, width))}  # 4

    def inference(self) -> Mode:
        """Windows as large as crops, or whole images as far as both scales have a grid for them."""
        return self.scales.inference(self.settings.crop)

    class Settings(RerunSettings, TwoScaleSettings):  # pydantic: the first one's defaults win
        """Settings of the re-runs with HRDA; what it leaves no choice of is fixed."""

        resolution: float = Field(
            2.0, gt=0, description="factor on the dataset's training size before cropping"
        )
        crop: Length = Field(1024, ge=8, description="side of the square training crop in pixels")
        inference: Literal["whole", "sliding"] = Field(
            "whole", description="test images are seen whole, or in windows as large as what is trained on"
        )
        rare_class_sampling: bool = Field(False, description="draw source images by rare classes")
        feature_distance: Literal["things", "all", "off"] = Field(
            "off", description="positions at which features stay close to ImageNet"
        )
        pictures: Literal["crops"] = Field("crops", description="images are seen in crops")
        align_corners: Literal[False] = Field(
            False, description="how logits are resized to the size of the image"
        )
        ignored_pixels: Literal["counted"] = Field(
            "counted", description="ignored pixels count in the mean of the cross entropy"
        )


class HRDAMinEnt(TwoScaleOutputs["HRDAMinEnt.Settings"], MinEnt["HRDAMinEnt.Settings"]):
    """Minimises the entropy of the fused predictions on the target."""

    name = "hrda_minent"
    title = "HRDA (MinEnt)"
    paper = "arXiv:2204.13132"
    tags = ("entropy",)

    # 5 and 6: `MinEnt.entropy_losses`

    class Settings(TwoScaleOutputs.Settings, MinEnt.Settings):  # pydantic: the first one's defaults win
        """Settings of both scales and weight of the entropy."""

    published: ClassVar[PublishedSettings] = {("gta5_to_cityscapes", "deeplabv2-r101"): {}}
