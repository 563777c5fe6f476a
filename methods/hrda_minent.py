"""HRDA on MinEnt: entropy minimisation on a context crop and a detail crop (HRDA, ECCV 2022, table 2).

MinEnt as it was re-run in the framework of HRDA, on crops and pictures twice as large and with HRDA's network around
DeepLabV2: 46.7 mIoU on GTA5 to Cityscapes (cityscapes19, val; mean of 3 seeds) instead of 44.3. Neither rare class
sampling nor feature distance, which are DAFormer's; both are options.

Quirks of the published behaviour beside those of `methods/minent.py` and `methods/hrda.py`, kept as defaults:

- on the target, too, the detail is seen in one random crop, not in windows, and with gradients;
- the entropy is taken of the fused logits, resized to the size of the context, which is half of the crop;
- test pictures are seen whole (`inference`); HRDA itself slides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from adaptbench.adaptation.seg_loss import resize_logits
from adaptbench.contracts.method import LossGroup
from adaptbench.contracts.profiles import Length
from adaptbench.data.batch import Batch
from adaptbench.networks.hrda import HRDASegmentor
from adaptbench.networks.pretrained.published import SELF_TRAINING
from methods.hrda import TwoScales
from methods.minent import MinEnt, OutputAdaptation, Outputs, RerunSettings


class TwoScaleOutputs(TwoScales, OutputAdaptation):
    """The fused output of HRDA's network in the place of those of a single scale."""

    published_files = SELF_TRAINING

    class Settings(RerunSettings, TwoScales.Settings):  # pydantic: the first one's defaults win
        """Settings of the re-runs with HRDA; what it leaves no choice of is fixed."""

        resolution: float = Field(
            2.0, gt=0, description="factor on the dataset's training size before cropping"
        )
        crop: Length = Field(1024, ge=8, description="side of the square training crop in pixels")
        inference: Literal["whole", "sliding"] = Field(
            "whole", description="test pictures are seen whole, or in windows as large as what is trained on"
        )
        rare_class_sampling: bool = Field(False, description="draw source pictures by rare classes")
        feature_distance: Literal["things", "all", "off"] = Field(
            "off", description="positions at which features stay close to ImageNet"
        )
        pictures: Literal["crops"] = Field("crops", description="pictures are seen in crops")
        align_corners: Literal[False] = Field(
            False, description="how logits are resized to the size of the picture"
        )
        ignored_pixels: Literal["counted"] = Field(
            "counted", description="ignored pixels count in the mean of the cross entropy"
        )

    settings: Settings
    student: HRDASegmentor  # type: ignore[assignment]

    def source_pass(self, batch: Batch) -> tuple[LossGroup, Outputs]:
        """Losses of both scales, and the fused logits."""
        learned = self.learn(batch.source.image, batch.source.label, None, "source", batch.draws)
        losses = {**learned.losses, **self.distance_loss(batch.source.label, learned.views)}
        return losses, self._outputs(batch.source.image, learned.logits)

    def target_pass(self, batch: Batch) -> Outputs:
        """The fused logits on the target, the detail seen in a random crop."""
        assert batch.target is not None
        image = batch.target.image
        box = self.draw_detail_crop(image, "target", batch.draws)
        return self._outputs(image, self.student.forward_train(image, box).fused)

    def _outputs(self, image: Tensor, fused: Tensor) -> Outputs:
        """At the size of the context."""
        height, width = (int(side * self.settings.context_scale) for side in image.shape[-2:])
        return {"main": resize_logits(fused, (height, width))}


class HRDAMinEnt(TwoScaleOutputs, MinEnt):
    """Minimises the entropy of the fused predictions on the target."""

    name = "hrda_minent"
    title = "HRDA (MinEnt)"
    paper = "arXiv:2204.13132"
    tags = ("entropy",)
    published: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = {
        ("gta5_to_cityscapes", "deeplabv2-r101"): {},
    }
    printed: ClassVar[Mapping[str, tuple[str, str, str, str]]] = {
        "deeplabv2-r101": ("HRDA", "Entropy Min. + HRDA", "ResNet-101", "HRDA (DeepLabV2 head)"),
    }

    class Settings(TwoScaleOutputs.Settings, MinEnt.Settings):  # pydantic: the first one's defaults win
        """Settings of both scales and weight of the entropy."""

    settings: Settings
