"""HRDA: context from large low-resolution crops, detail from small high-resolution ones (Hoyer et al., ECCV 2022).

DAFormer with crops twice as large of images twice as large. A training step is that of `methods/daformer.py`, with
new passes of the student over source and mixed images (equations of the paper):

1. A detail crop is drawn within the crop, the context (section 3.1).
2. The student predicts the whole crop at half the resolution, and the detail crop at full resolution.
3. From the context it predicts which scale to trust where (scale attention, section 3.2).
4. Both predictions are fused by the attention (equation 8).
5. Cross entropy of the fused prediction, and with a small weight of the detail's (equations 9 and 11).
6. The feature distance compares the features of the context.
7. The teacher labels target crops fused as well, with the detail seen in overlapping windows (section 3.3).
8. So are test images, in windows as large as training crops.

The studies of the paper are options: `detail_crop`, `context_scale`, `detail_loss_weight`, `attention` (``classwise``,
``single`` or ``fixed``), `detail_windows` (``adjacent`` = no overlap), `blur_detail`, `synchronized_crop` (smaller
context crops, cut at the same place from source and target).

Quirks of the published behaviour beside those of DAFormer, kept as defaults:

- one detail crop for the whole batch; the source and the mixed pass draw their own, the teacher crops nothing;
- offsets are multiples of 8 and never reach the last aligned position (`reach_edge` draws it, too);
- the fused loss is multiplied by what the detail loss leaves of 1;
- the shared decoder sees context and detail one after the other, so its batch norm moves twice per pass;
- margins of target images, not rows of crops, carry no weight; where a crop is larger than the image, padding
  weighs 255 times as much (`padding_weight` ``zero`` mends that);
- the feature distance is kept at the context scale only; with ``all`` the scales are added, and a scale
  without any thing makes the logged sum NaN. The published code switches on ``all`` and `context_loss_weight` 0.1
  where the detail crop is as large as the crop; here both are settings of their own.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from adaptbench.adaptation.seg_loss import resize_logits
from adaptbench.contracts.method import PublishedSettings
from adaptbench.contracts.profiles import Length
from adaptbench.contracts.resources import Resources
from adaptbench.contracts.task import Task
from adaptbench.draws import Draws
from adaptbench.networks.adapters.choice import Adapter
from adaptbench.networks.detail_crop import CropBox
from adaptbench.networks.hrda import HRDAOptions, HRDAOutput, HRDASegmentor, build_hrda, hrda_loss
from adaptbench.networks.inference import Mode, Whole
from methods.dacs import PREFIXES, EncoderView, PassName, PassOutput
from methods.daformer import DAFormer, StrategySettings

S = TypeVar("S", bound="HRDA.Settings", default=Any)


class TwoScaleSettings(StrategySettings):
    """Settings of both scales; sizes are those of the large images."""

    network: str = Field("daformer-mit_b5", description="network plug-in that both scales share")
    resolution: float = Field(2.0, gt=0, description="factor on the dataset's training size before cropping")
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
        description="test images are seen whole, or in windows as large as what is trained on",
    )


def build_two_scales(settings: TwoScaleSettings, classes: int, adapter: Adapter) -> HRDASegmentor:
    """HRDA around the network of the settings, whose encoder gets the adapter."""
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
    return build_hrda(settings.network, classes, options, settings.pretraining, adapter)


class TwoScales:
    """Training passes and tests of a student with a context crop and a detail crop.

    Args:
        student: the network.
        settings: weights of the losses, and the scales whose features are compared.
    """

    def __init__(self, student: HRDASegmentor, settings: TwoScaleSettings) -> None:
        student.require_crop(settings.crop, whole=False)
        self._student = student
        self._settings = settings

    def draw_detail_crop(self, image: Tensor, name: PassName, draws: Draws) -> CropBox:
        """The detail crop of a pass, shared by its batch."""
        size = (image.shape[-2], image.shape[-1])
        return self._student.draw_crop_box(size, draws.numpy(f"detail crop {name}"))

    def forward(self, image: Tensor, name: PassName, draws: Draws) -> HRDAOutput:
        """Predictions on both scales and fused, the detail seen in a random crop."""
        box = self.draw_detail_crop(image, name, draws)  # 1
        return self._student.forward_train(image, box)  # 2 to 4

    def pass_output(
        self, image: Tensor, output: HRDAOutput, label: Tensor, weight: Tensor | None, name: PassName
    ) -> PassOutput:
        """The losses of a pass, and the views of the encoder whose features are compared."""
        settings = self._settings
        losses = hrda_loss(
            output,
            label,
            weight,
            hr_weight=settings.detail_loss_weight,
            lr_weight=settings.context_loss_weight,
            prefix=PREFIXES[name],
        )  # 5
        views = self._views(image, output)
        compared = views if settings.feature_distance_scales == "all" else views[:1]  # 6
        return PassOutput(losses, output.fused, compared)

    def inference(self, side: int) -> Mode:
        """Windows of the ``side`` that is trained on; whole images as far as both scales have a grid for them."""
        mode, head = self._settings.inference_mode(side), self._student.decode_head
        return Whole(multiple=round(head.output_stride * head.scale_ratio)) if mode == Whole() else mode

    def _views(self, image: Tensor, output: HRDAOutput) -> tuple[EncoderView, EncoderView]:
        """Context and detail; the detail image is the image itself, so that the crop's box fits both."""
        region = output.crop_box.slices
        detail = self._student.detail_image(image)[(..., *region)]
        return (
            EncoderView(self._student.context_image(image), output.lr_features),
            EncoderView(detail, output.hr_features, region),
        )


class HRDA(DAFormer[S]):
    """DAFormer on a context crop and a detail crop, fused by scale attention."""

    name = "hrda"
    title = "HRDA"
    paper = "arXiv:2204.13132"
    tags = ("self-training",)

    student: HRDASegmentor

    def __init__(self, task: Task, settings: S) -> None:
        super().__init__(task, settings)
        self.scales = TwoScales(self.student, settings)
        self.student.require_crop(settings.synchronized_crop or settings.crop, whole=True)

    def build_student(self) -> HRDASegmentor:
        """HRDA around the network of the settings."""
        return build_two_scales(self.settings, len(self.task.class_set), self.adapter(self.settings))

    def train_pass(
        self, image: Tensor, label: Tensor, weight: Tensor | None, name: PassName, draws: Draws
    ) -> PassOutput:
        """One training pass of the student over the context and a detail crop."""
        output = self.scales.forward(image, name, draws)  # 1 to 4
        if name == "mixed" and self.observers:
            self.observe(name, attention=expected_attention(output))
        return self.scales.pass_output(image, output, label, weight, name)  # 5 and 6

    # 7: `DACS.label_with`, whose teacher is a copy of the student and sees whole crops

    def inference(self) -> Mode:
        """As DAFormer; whole images as far as both scales have a grid for them."""
        return self.scales.inference(self.settings.synchronized_crop or self.settings.crop)  # 8

    class Settings(TwoScaleSettings, DAFormer.Settings):  # pydantic: the first one's defaults win
        """Settings of both scales and of the self-training."""

        pseudo_ignore_top: Length = Field(
            0, ge=0, description="rows without weight at the top of target crops"
        )
        pseudo_ignore_bottom: Length = Field(
            0, ge=0, description="rows without weight at the bottom of target crops"
        )
        margins: bool = Field(True, description="whether borders of target images carry no weight")

    published: ClassVar[PublishedSettings] = {("gta5_to_cityscapes", "daformer-mit_b5"): {}}
    resources: ClassVar[Resources] = Resources(memory=22.5)


@torch.no_grad()
def expected_attention(output: HRDAOutput) -> Tensor:
    """How far the detail is trusted, over the classes that the fused prediction expects; to look at.

    Shape: returns ``(B, 1, h, w)`` at the decoder's stride on the context, in [0, 1].
    """
    size = (output.attention.shape[-2], output.attention.shape[-1])
    expected = resize_logits(output.fused, size).softmax(dim=1)
    return (expected * output.attention).sum(dim=1, keepdim=True)
