"""HRDA: context from large low-resolution crops, detail from small high-resolution ones (Hoyer et al., ECCV 2022).

DAFormer with crops twice as large of pictures twice as large. The student sees the whole crop at half the
resolution and a quarter of it at full resolution, and learns which scale to trust where. Pseudo-labels see the
detail in overlapping windows, and so does the evaluation, which slides over the picture in training crops.

The studies of the paper are options: `detail_crop`, `context_scale`, `detail_loss_weight`, `attention` (``classwise``,
``single`` or ``fixed``), `detail_windows` (``adjacent`` = no overlap), `blur_detail`, `synchronized_crop` (smaller
context crops, cut at the same place from source and target).

Quirks of the published behaviour beside those of DAFormer, kept as defaults:

- one detail crop for the whole batch; the source and the mixed pass draw their own, the teacher crops nothing;
- offsets are multiples of 8 and never reach the last aligned position (`reach_edge` draws it, too);
- the fused loss is multiplied by what the detail loss leaves of 1;
- the shared decoder sees context and detail one after the other, so its batch norm moves twice per pass;
- margins of target pictures, not rows of crops, carry no weight; where a crop is larger than the picture, padding
  weighs 255 times as much (`padding_weight` ``zero`` mends that);
- the feature distance is kept at the context scale only; with ``all`` the scales are added, and a scale
  without any thing makes the logged sum NaN. The published code switches on ``all`` and `context_loss_weight` 0.1
  where the detail crop is as large as the crop; here both are settings of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from adaptbench.adaptation import feature_distance as fd
from adaptbench.adaptation.seg_loss import resize_logits
from adaptbench.contracts.profiles import Length
from adaptbench.draws import Draws
from adaptbench.networks.detail_crop import CropBox
from adaptbench.networks.hrda import HRDAOptions, HRDAOutput, HRDASegmentor, build_hrda, hrda_loss
from adaptbench.networks.inference import Mode, Whole
from methods.dacs import PREFIXES, Learned, Part, View
from methods.daformer import DAFormer, SourceStrategies


class TwoScales(SourceStrategies):
    """A context crop and a detail crop, fused by scale attention, with or without a target."""

    class Settings(SourceStrategies.Settings):
        """Settings of both scales; sizes are those of the large pictures."""

        network: str = Field("daformer-mit_b5", description="network plug-in that both scales share")
        resolution: float = Field(
            2.0, gt=0, description="factor on the dataset's training size before cropping"
        )
        crop: Length = Field(1024, ge=8, description="side of the square training crop in pixels")
        detail_crop: Length = Field(512, ge=8, description="side of the detail crop in pixels of the crop")
        context_scale: float = Field(0.5, gt=0, le=1, description="factor on the crop for the context")
        attention: Literal["classwise", "single", "fixed"] = Field(
            "classwise", description="scale attention per class, one for all, or a constant"
        )
        fixed_attention: float = Field(0.5, ge=0, le=1, description="the constant")
        detail_loss_weight: float = Field(
            0.1, ge=0, le=1, description="share of the detail in the segmentation loss"
        )
        context_loss_weight: float = Field(
            0.0, ge=0, le=1, description="share of the context in the segmentation loss"
        )
        detail_windows: Literal["overlapping", "adjacent", "whole"] = Field(
            "overlapping", description="how whole crops are seen in detail, in pseudo-labels and tests"
        )
        blur_detail: bool = Field(False, description="take the detail from the enlarged context")
        crop_divisor: int = Field(8, ge=1, description="offsets of the detail crop are multiples of this")
        reach_edge: bool = Field(False, description="draw the last aligned offset, too")
        feature_distance_scales: Literal["context", "all"] = Field(
            "context", description="scales whose features stay close to ImageNet"
        )
        rare_class_min_crop_ratio: float = Field(
            2.0, ge=0, description="share of the pixels above that a crop has to show; 0 = any crop"
        )
        inference: Literal["whole", "sliding"] = Field(
            "sliding",
            description="test pictures are seen whole, or in windows as large as what is trained on",
        )

    settings: Settings
    student: HRDASegmentor

    def build_student(self) -> nn.Module:
        """HRDA around the network of the settings."""
        settings = self.settings
        options = HRDAOptions(
            detail_crop=(settings.detail_crop, settings.detail_crop),
            context_scale=settings.context_scale,
            divisor=settings.crop_divisor,
            attention=settings.attention,
            fixed_attention=settings.fixed_attention,
            detail_windows=settings.detail_windows,
            blur_detail=settings.blur_detail,
            reach_edge=settings.reach_edge,
        )
        return build_hrda(settings.network, len(self.task.class_set), options, settings.pretraining)

    def learn(self, image: Tensor, label: Tensor, weight: Tensor | None, part: Part, draws: Draws) -> Learned:
        """One training pass of the student over the context and a detail crop."""
        box = self.draw_detail_crop(image, part, draws)
        output = self.student.forward_train(image, box)
        losses = hrda_loss(
            output,
            label,
            weight,
            hr_weight=self.settings.detail_loss_weight,
            lr_weight=self.settings.context_loss_weight,
            prefix=PREFIXES[part],
        )
        if part == "mixed" and self.observers:
            self.observe(part, attention=expected_attention(output))
        rows, columns = box.slices
        context = View(self.student.context_image(image), output.lr_features)
        detail = View(
            self.student.detail_image(image)[..., rows, columns], output.hr_features, output.crop_box.slices
        )
        return Learned(losses, output.fused, (context, detail))

    def inference(self) -> Mode:
        """As `SourceStrategies`; whole pictures as far as both scales have a grid for them."""
        mode, head = super().inference(), self.student.decode_head
        return (
            replace(mode, multiple=round(head.output_stride * head.scale_ratio)) if mode == Whole() else mode
        )

    def draw_detail_crop(self, image: Tensor, part: Part, draws: Draws) -> CropBox:
        """The detail crop of a pass, shared by its batch."""
        size = (image.shape[-2], image.shape[-1])
        return self.student.draw_crop_box(size, draws.numpy(f"detail crop {part}"))

    def distances(self, label: Tensor, views: Sequence[View]) -> list[fd.FeatureDistance]:
        """Feature distance of the context, or of both scales."""
        return super().distances(
            label, views if self.settings.feature_distance_scales == "all" else views[:1]
        )


class HRDA(TwoScales, DAFormer):
    """DAFormer on a context crop and a detail crop, fused by scale attention."""

    name = "hrda"
    title = "HRDA"
    paper = "arXiv:2204.13132"
    tags = ("self-training",)
    published: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = {
        ("gta5_to_cityscapes", "daformer-mit_b5"): {},
    }
    printed: ClassVar[Mapping[str, tuple[str, str, str, str]]] = {
        "daformer-mit_b5": ("HRDA", "", "MiT-B5", "HRDA (DAFormer head)"),
        "deeplabv2-r101": ("HRDA", "DAFormer UDA + HRDA", "ResNet-101", "HRDA (DeepLabV2 head)"),
    }

    class Settings(TwoScales.Settings, DAFormer.Settings):  # pydantic: the first one's defaults win
        """Settings of both scales and of the self-training."""

        pseudo_ignore_top: Length = Field(
            0, ge=0, description="rows without weight at the top of target crops"
        )
        pseudo_ignore_bottom: Length = Field(
            0, ge=0, description="rows without weight at the bottom of target crops"
        )
        margins: bool = Field(True, description="whether borders of target pictures carry no weight")

    settings: Settings


@torch.no_grad()
def expected_attention(output: HRDAOutput) -> Tensor:
    """How far the detail is trusted, over the classes that the fused prediction expects; to look at.

    Shape: returns ``(B, 1, h, w)`` at the decoder's stride on the context, in [0, 1].
    """
    size = (output.attention.shape[-2], output.attention.shape[-1])
    expected = resize_logits(output.fused, size).softmax(dim=1)
    return (expected * output.attention).sum(dim=1, keepdim=True)
