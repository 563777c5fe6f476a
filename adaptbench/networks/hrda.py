"""HRDA: a large low-resolution context crop and a small high-resolution detail crop, fused by scale attention.

It goes around any of our networks: both crops pass through the same backbone and decoder. In training, one
detail crop is drawn for the whole batch; at test time and for pseudo-labels, overlapping detail windows cover
the image.

Source: Hoyer et al., HRDA, arXiv 2204.13132, section 3; docs/quirks.md#s8 to #s18. The published code calls the context
``lr`` and the detail ``hr``, and so do the loss names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.adaptation.parts import Assembly
from adaptbench.adaptation.seg_loss import pixel_accuracy, resize_logits, weighted_cross_entropy
from adaptbench.errors import UsageError
from adaptbench.networks.adapters.choice import WITHOUT_ADAPTER, Adapter
from adaptbench.networks.detail_crop import CropBox, Size, draw_crop_box
from adaptbench.networks.inference import windows
from adaptbench.networks.smallest_side import smallest_side

#: Usual stride of the logits of a decoder, by its type; HRDA converts boxes with it.
_OUTPUT_STRIDES: Mapping[str, int] = {"DAFormerHead": 4, "DeepLabV2Head": 8}


@dataclass(frozen=True)
class HRDAOptions:
    """What defines an HRDA network, with the published values as defaults.

    Attributes:
        detail_crop: size of the detail crop and of the detail windows, in pixels of the detail image.
        context_scale: factor on the image for the context.
        detail_scale: factor on the image for the detail.
        divisor: offsets of the detail crop are multiples of this.
        attention: one attention channel per class, a single one, or a constant (``fixed``).
        fixed_attention: the constant; 0.5 averages both scales.
        attention_width: channels of the attention's DAFormer decoder; None = those of the decoder.
        detail_windows: windows at test time and for pseudo-labels step by half a window (``overlapping``) or by
            a whole one (``adjacent``), or the detail image is seen at once (``whole``).
        blur_detail: take the detail from the context image, enlarged.
        reach_edge: also draw the last aligned position, which the published code never does.

    Source: HRDA, arXiv 2204.13132, section 4.1 and tables 3 to 6; docs/quirks.md#s10 for ``reach_edge``.
    """

    detail_crop: Size = (512, 512)
    context_scale: float = 0.5
    detail_scale: float = 1.0
    divisor: int = 8
    attention: Literal["classwise", "single", "fixed"] = "classwise"
    fixed_attention: float = 0.5
    attention_width: int | None = None
    detail_windows: Literal["overlapping", "adjacent", "whole"] = "overlapping"
    blur_detail: bool = False
    reach_edge: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.context_scale <= self.detail_scale:
            raise UsageError(
                "HRDA needs 0 < context_scale <= detail_scale, "
                f"got {self.context_scale} and {self.detail_scale}."
            )


class HRDAOutput(NamedTuple):
    """Result of a training pass.

    Attributes:
        fused: logits ``(B, C, h, w)`` of the whole image, at the decoder's stride on the detail image.
        lr: context logits ``(B, C, h', w')`` after multiplication with (1 - attention).
        hr: raw logits of the detail crop.
        attention: weight of the detail in [0, 1] before the crop is masked out, ``(B, C or 1, h', w')``, or
            ``(1, 1, h', w')`` if it is constant.
        crop_box: the detail crop in pixels of the image.
        lr_features: feature maps of the context, fine to coarse.
        hr_features: feature maps of the detail crop.
    """

    fused: Tensor
    lr: Tensor
    hr: Tensor
    attention: Tensor
    crop_box: CropBox
    lr_features: Sequence[Tensor]
    hr_features: Sequence[Tensor]


def mask_attention(attention: Tensor, region: CropBox) -> Tensor:
    """The attention inside a region, 0 outside, before anything is upsampled (docs/quirks.md#s12). Shape: unchanged."""
    mask = attention.new_zeros(attention.shape[-2:])
    mask[region.slices] = 1.0
    return attention * mask


def paste(detail: Tensor, region: CropBox, size: Size) -> Tensor:
    """A map of zeros with ``detail`` in a region.

    Shape: ``(B, C, *region.size)`` to ``(B, C, *size)``.

    Raises:
        ValueError: ``detail`` does not fill the region.
    """
    if tuple(detail.shape[-2:]) != region.size:
        raise ValueError(
            f"detail logits of {tuple(detail.shape[-2:])} do not fill their box of {region.size}: the decoder has "
            "another output stride than HRDA was built for, or the crop is no multiple of it"
        )
    canvas = detail.new_zeros((*detail.shape[:2], *size))
    canvas[..., region.slices[0], region.slices[1]] = detail
    return canvas


def average_windows(logits: Tensor, boxes: Sequence[CropBox]) -> Tensor:
    """Put the logits of windows, batched window by window, into one map and average where they overlap.

    Shape: ``(len(boxes) * B, C, h, w)`` to ``(B, C, H, W)``, with H and W reached by the boxes.
    """
    size = max(box.bottom for box in boxes), max(box.right for box in boxes)
    parts = logits.chunk(len(boxes))
    total = logits.new_zeros((*parts[0].shape[:2], *size))
    count = logits.new_zeros(size)
    for part, box in zip(parts, boxes, strict=True):
        rows, columns = box.slices
        total[..., rows, columns] += part
        count[rows, columns] += 1
    return total / count


def fuse(context: Tensor, attention: Tensor, detail: Tensor) -> Tensor:
    """``up(attention) * detail + up(context)``, with bilinear upsampling to the size of the detail.

    The context is already multiplied with (1 - attention).

    Shape: ``(B, C, h, w)``, ``(B, C or 1, h, w)`` and ``(B, C, H, W)`` to ``(B, C, H, W)``.

    Source: HRDA, arXiv 2204.13132, equation 8; docs/quirks.md#s12.
    """
    size = (detail.shape[-2], detail.shape[-1])
    return resize_logits(attention, size) * detail + resize_logits(context, size)


class HRDAHead(Assembly):
    """A decoder shared by both scales and a second one for the scale attention.

    Args:
        head: feature maps to logits.
        scale_attention: context feature maps to the attention before the sigmoid; None = constant.
        fixed_attention: the constant.
        output_stride: pixels of the input per logit of ``head``.
        scale_ratio: detail scale over context scale.

    Source: HRDA, arXiv 2204.13132, section 3.2; docs/quirks.md#s11, #s12 and #s16.
    """

    def __init__(
        self,
        head: nn.Module,
        scale_attention: nn.Module | None,
        fixed_attention: float = 0.5,
        output_stride: int = 4,
        scale_ratio: float = 2.0,
    ) -> None:
        super().__init__()
        self.head = head
        self.scale_attention = scale_attention
        self.fixed_attention = fixed_attention
        self.output_stride = output_stride
        self.scale_ratio = scale_ratio

    def forward_train(
        self, context: Sequence[Tensor], detail: Sequence[Tensor], crop_box: CropBox
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Fused, attention-scaled context and raw detail logits, and the attention; see `HRDAOutput`.

        The crop box is in pixels of the detail image.
        """
        lr, hr = self.head(context), self.head(detail)  # in this order: the batch norm statistics follow both
        attention = self._attention(context, lr)
        inside = mask_attention(attention, crop_box.divided(self.output_stride * self.scale_ratio))
        scaled = (1 - inside) * lr
        pasted = paste(hr, crop_box.divided(self.output_stride), self._detail_grid(lr))
        return fuse(scaled, inside, pasted), scaled, hr, attention

    def forward(
        self, context: Sequence[Tensor], detail: Sequence[Tensor], boxes: Sequence[CropBox]
    ) -> Tensor:
        """Fused logits of whole images.

        Args:
            context: feature maps of the context images.
            detail: feature maps of detail windows, batched window by window; or of whole detail images.
            boxes: the windows in pixels of the detail image; none for whole detail images.

        Raises:
            ValueError: the grids of both scales do not match.

        Source: docs/quirks.md#s17 and #s18.
        """
        lr, hr = self.head(context), self.head(detail)
        if boxes:
            hr = average_windows(hr, [box.divided(self.output_stride) for box in boxes])
        if tuple(hr.shape[-2:]) != self._detail_grid(lr):
            raise ValueError(
                f"HRDA cannot fuse context logits of {tuple(lr.shape[-2:])} and detail logits of "
                f"{tuple(hr.shape[-2:])}: the sides of the image must be multiples of "
                f"{self.output_stride * self.scale_ratio:g}; use sliding windows of such a size"
            )
        attention = self._attention(context, lr)
        return fuse((1 - attention) * lr, attention, hr)

    def _attention(self, context: Sequence[Tensor], logits: Tensor) -> Tensor:
        if self.scale_attention is None:
            return logits.new_full((1, 1, *logits.shape[-2:]), self.fixed_attention)
        return torch.sigmoid(self.scale_attention(context))

    def _detail_grid(self, logits: Tensor) -> Size:
        return round(logits.shape[-2] * self.scale_ratio), round(logits.shape[-1] * self.scale_ratio)


class HRDASegmentor(Assembly):
    """Backbone and HRDA head; parameter names are those of the published checkpoints."""

    def __init__(self, backbone: nn.Module, decode_head: HRDAHead, options: HRDAOptions) -> None:
        super().__init__()
        self.backbone = backbone
        self.decode_head = decode_head
        self.options = options

    def draw_crop_box(self, image: Size, generator: np.random.Generator) -> CropBox:
        """Draw the detail crop for a training pass over images of a size; see `draw_crop_box`."""
        scale, options = self.options.detail_scale, self.options
        detail = int(image[0] * scale), int(image[1] * scale)
        return draw_crop_box(detail, options.detail_crop, options.divisor, generator, options.reach_edge)

    def forward_train(self, image: Tensor, crop_box: CropBox) -> HRDAOutput:
        """Logits of both scales and fused; the crop box is in pixels of the detail image.

        Shape: ``(B, 3, H, W)`` float.
        """
        lr_features = self.backbone(self.context_image(image))
        rows, columns = crop_box.slices
        hr_features = self.backbone(self.detail_image(image)[..., rows, columns])
        logits = self.decode_head.forward_train(lr_features, hr_features, crop_box)
        return HRDAOutput(*logits, crop_box.divided(self.options.detail_scale), lr_features, hr_features)

    def forward(self, image: Tensor) -> Tensor:
        """Fused logits of whole images, the detail seen in windows. The images are never cropped.

        Shape: ``(B, 3, H, W)`` float to ``(B, C, h, w)`` float at the decoder's stride on the detail image.

        Raises:
            ValueError: the size does not fit both scales (multiples of 8 for the DAFormer decoder do).

        Source: HRDA, arXiv 2204.13132, section 3.3; docs/quirks.md#s17.
        """
        context = self.backbone(self.context_image(image))
        detail = self.detail_image(image)
        boxes = self.detail_boxes((detail.shape[-2], detail.shape[-1]))
        seen = torch.cat([detail[..., box.slices[0], box.slices[1]] for box in boxes]) if boxes else detail
        logits: Tensor = self.decode_head(context, self.backbone(seen), boxes)
        return logits

    @property
    def multiple(self) -> int:
        """Images whose sides are multiples of this have a grid on both scales. Units: pixels."""
        return math.ceil(self.decode_head.output_stride / self.options.context_scale)

    def taken_size(self, size: Size) -> Size:
        """The smallest size that holds an image of ``size`` and on which the grids of both scales match.

        Raises:
            UsageError: there is none, as the detail windows have no grid.

        Units: pixels.
        """
        smallest = smallest_side(self.backbone, at_most=math.floor(min(size) * self.options.context_scale))
        return self._taken_side(size[0], 0, smallest), self._taken_side(size[1], 1, smallest)

    def require_crop(self, crop: int, whole: bool) -> None:
        """Raises UsageError unless square training crops of so many pixels have a grid on both scales.

        Args:
            crop: side of the crop.
            whole: whether whole crops are seen, by a teacher, beside a single detail crop.
        """
        smallest, multiple = smallest_side(self.backbone), self.multiple
        least = math.ceil(math.ceil(smallest / self.options.context_scale) / multiple) * multiple
        detail = min(self.options.detail_crop)
        too_small = int(crop * self.options.context_scale) < smallest or detail < smallest
        if (
            too_small
            or detail % self.decode_head.output_stride
            or (whole and self.taken_size((crop,) * 2)[0] != crop)
        ):
            raise UsageError(
                f"HRDA cannot train on crops of {crop}x{crop} pixels with a detail of {detail}x{detail}: both scales "
                f"need a grid. Set crop and detail_crop to multiples of {multiple}, crop to at least {least}, and "
                f"detail_crop to at least {math.ceil(smallest / multiple) * multiple}."
            )

    def _taken_side(self, side: int, axis: int, smallest: int) -> int:
        multiple = self.multiple
        enough = max(side, math.ceil(smallest / self.options.context_scale)) + multiple
        for longer in range(side, enough + 1):
            if self._fits(longer, axis, smallest):
                return longer
        raise UsageError(
            f"HRDA cannot see {side} pixels in detail windows of {self.options.detail_crop[axis]}: set detail_crop to "
            f"a multiple of {multiple} that is at least {-(-smallest // multiple) * multiple}."
        )

    def _fits(self, side: int, axis: int, smallest: int) -> bool:
        """Whether the logits of context and detail have one grid along a side of the image."""
        context, detail = (int(side * s) for s in (self.options.context_scale, self.options.detail_scale))
        stride = self.decode_head.output_stride
        grid = math.ceil(detail / stride)
        for box in self.detail_boxes((detail, detail)):
            start, stop = (box.top, box.bottom) if axis == 0 else (box.left, box.right)
            grid = int(stop / stride)
            if stop - start < smallest or grid - int(start / stride) != math.ceil((stop - start) / stride):
                return False
        matching = grid == round(math.ceil(context / stride) * self.decode_head.scale_ratio)
        return matching and min(context, detail) >= smallest

    def context_image(self, image: Tensor) -> Tensor:
        """The image at the scale of the context. Shape: ``(B, 3, H, W)`` to ``(B, 3, H * s, W * s)``."""
        return _scale(image, self.options.context_scale)

    def detail_image(self, image: Tensor) -> Tensor:
        """The image at the scale of the detail. Shape: as `context_image`."""
        if not self.options.blur_detail:
            return _scale(image, self.options.detail_scale)
        height, width = (int(side * self.options.detail_scale) for side in image.shape[-2:])
        return resize_logits(self.context_image(image), (height, width))

    def detail_boxes(self, image: Size) -> list[CropBox]:
        """The windows in which a whole detail image of a size is seen; none where it is seen at once."""
        if self.options.detail_windows == "whole":
            return []
        crop = self.options.detail_crop
        stride = (crop[0] // 2, crop[1] // 2) if self.options.detail_windows == "overlapping" else crop
        places = windows(image, crop, stride)
        return [CropBox(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in places]


def hrda_loss(
    output: HRDAOutput,
    label: Tensor,
    weight: Tensor | None = None,
    *,
    hr_weight: float = 0.1,
    lr_weight: float = 0.0,
    prefix: str = "",
) -> dict[str, Tensor]:
    """Losses of the fused, the detail and (if wanted) the context logits, scaled by their weights, as one group.

    ``loss_seg`` is (1 - hr_weight - lr_weight) times the cross entropy of the fused logits, ``hr.loss_seg`` is
    hr_weight times that of the detail logits on the cropped label, ``lr.loss_seg`` is lr_weight times that of the
    attention-scaled context logits. A scale of weight 0 is left out. Accuracies stand beside the losses.

    Shape: label ``(B, 1, H, W)`` int64 with 255 = ignore, weight ``(B, H, W)`` float or None.

    Source: HRDA, arXiv 2204.13132, equations 9 and 11; docs/quirks.md#s13 and #s15.
    """
    rows, columns = output.crop_box.slices
    cropped_weight = None if weight is None else weight[..., rows, columns]
    terms = [
        ("", 1 - hr_weight - lr_weight, output.fused, label, weight),
        ("lr.", lr_weight, output.lr, label, weight),
        ("hr.", hr_weight, output.hr, label[..., rows, columns], cropped_weight),
    ]
    losses: dict[str, Tensor] = {}
    for name, share, logits, target, pixel_weight in terms:
        if name and share <= 0:
            continue
        upsampled = resize_logits(logits, (target.shape[-2], target.shape[-1]))
        losses[f"{prefix}{name}loss_seg"] = share * weighted_cross_entropy(upsampled, target, pixel_weight)
        losses[f"{prefix}{name}acc_seg"] = pixel_accuracy(upsampled, target)
    return losses


def attention_config(head: Mapping[str, Any], width: int | None) -> dict[str, Any]:
    """Configuration of the scale attention beside a decoder: the decoder's, without its ASPP (docs/quirks.md#s11)."""
    config = dict(head)
    if config["type"] != "DAFormerHead":
        return config
    if config.get("fusion", "separable_aspp") in ("separable_aspp", "aspp"):
        config["fusion"] = "conv"
    return config if width is None else {**config, "width": width, "embedding_width": None}


def hrda_head(
    head: nn.Module,
    config: Mapping[str, Any],
    num_classes: int,
    options: HRDAOptions,
    output_stride: int | None = None,
) -> HRDAHead:
    """The HRDA head around a decoder with this configuration.

    Its type must be known; unless stated, its output stride is the usual one of its type.
    """
    if config["type"] not in _OUTPUT_STRIDES:
        raise UsageError(f"HRDA goes around {', '.join(_OUTPUT_STRIDES)}, not around {config['type']}.")
    attention: nn.Module | None = None
    if options.attention != "fixed":
        channels = num_classes if options.attention == "classwise" else 1
        settings = attention_config(config, options.attention_width)
        attention = MODELS.build({**settings, "num_classes": channels})
    ratio = options.detail_scale / options.context_scale
    stride = output_stride or _OUTPUT_STRIDES[config["type"]]
    return HRDAHead(head, attention, options.fixed_attention, stride, ratio)


def build_hrda(
    network: str,
    num_classes: int,
    options: HRDAOptions,
    pretraining: str = "none",
    adapter: Adapter = WITHOUT_ADAPTER,
) -> HRDASegmentor:
    """HRDA around one of our networks, whose encoder starts as `networks.build` says."""
    from adaptbench import networks  # the package imports this module

    base = networks.build(network, num_classes, pretraining, adapter)
    backbone, head = base.get_submodule("backbone"), base.get_submodule("decode_head")
    spec = networks.spec(network)
    fused = hrda_head(head, spec.decode_head, num_classes, options, spec.output_stride)
    return HRDASegmentor(backbone, fused, options)


def _scale(image: Tensor, factor: float) -> Tensor:
    if factor == 1.0:
        return image
    return functional.interpolate(image, scale_factor=factor, mode="bilinear", align_corners=False)
