"""Typical mistakes in the networks, planted one at a time: each must make a recorded case fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from adaptbench.networks import daformer, detail_crop, hrda, isa, mit
from adaptbench.networks.detail_crop import CropBox, Size
from adaptbench.networks.inference import windows
from adaptbench.networks.pretrained.published import Layout

from .handlers import hrda_head, segmentors
from .planted import Mutation, assert_noticed

TEACHER_FIRST = Layout(student={"ema_model.": ""}, teacher={}, others=("model.", "imnet_model."))
PUBLISHED_HEAD_PASS = hrda.HRDAHead.forward_train
PUBLISHED_ATTENTION = hrda.HRDAHead._attention
PUBLISHED_LOSS = hrda.hrda_loss
PUBLISHED_AVERAGE = hrda.average_windows


def corners_aligned(features: Tensor, size: Size) -> Tensor:
    return functional.interpolate(features, size, mode="bilinear", align_corners=True)


def nearest(features: Tensor, size: Size) -> Tensor:
    return functional.interpolate(features, size, mode="nearest")


def antialiased(image: Tensor, factor: float) -> Tensor:
    if factor == 1.0:
        return image
    return functional.interpolate(
        image, scale_factor=factor, mode="bilinear", align_corners=False, antialias=True
    )


def values_before_keys(self: mit.Attention, tokens: Tensor, size: Size) -> Tensor:
    reduced = (
        tokens
        if self.sr is None
        else self.norm(self.sr(mit._to_map(tokens, size)).flatten(2).transpose(1, 2))
    )
    value, key = (self._split(part) for part in self.kv(reduced).chunk(2, dim=-1))
    attended = functional.scaled_dot_product_attention(self._split(self.q(tokens)), key, value)
    out: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
    return out


def next_stage_reads_the_raw_map(self: mit.MiT, image: Tensor) -> tuple[Tensor, ...]:
    maps: list[Tensor] = []
    for stage in (1, 2, 3, 4):
        tokens, size = self.get_submodule(f"patch_embed{stage}")(image)
        for block in self.get_submodule(f"block{stage}").children():
            tokens = block(tokens, size)
        image = mit._to_map(tokens, size)
        maps.append(mit._to_map(self.get_submodule(f"norm{stage}")(tokens), size))
    return tuple(maps)


def coarse_to_fine(self: daformer.DAFormerHead, features: Sequence[Tensor]) -> Tensor:
    embedded = [embed(part) for embed, part in zip(self.embed_layers, features, strict=True)]
    size = (features[0].shape[-2], features[0].shape[-1])
    resized = [daformer.resize(part, size) for part in reversed(embedded)]
    logits: Tensor = self.conv_seg(self.fuse_layer(torch.cat(resized, dim=1)))
    return logits


def padded_at_the_end(self: isa.InterlacedAttention, length: int) -> tuple[int, int]:
    return 0, -length % self.block


def not_masked(attention: Tensor, region: CropBox) -> Tensor:
    return attention


def detail_first(
    self: hrda.HRDAHead, context: Sequence[Tensor], detail: Sequence[Tensor], crop_box: CropBox
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Equal logits, other batch norm statistics."""
    hr, lr = self.head(detail), self.head(context)
    attention = self._attention(context, lr)
    inside = hrda.mask_attention(attention, crop_box.divided(self.output_stride * self.scale_ratio))
    scaled, region = (1 - inside) * lr, crop_box.divided(self.output_stride)
    pasted = hrda.paste(hr, region, self._detail_grid(lr))
    return hrda.fuse(scaled, inside, pasted), scaled, hr, attention


def mask_after_upsampling(
    self: hrda.HRDAHead, context: Sequence[Tensor], detail: Sequence[Tensor], crop_box: CropBox
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    lr, hr = self.head(context), self.head(detail)
    attention = self._attention(context, lr)
    grid, region = self._detail_grid(lr), crop_box.divided(self.output_stride)
    inside = hrda.mask_attention(hrda.resize_logits(attention, grid), region)
    fused = inside * hrda.paste(hr, region, grid) + (1 - inside) * hrda.resize_logits(lr, grid)
    return fused, (1 - attention) * lr, hr, attention


def context_not_weighted(
    self: hrda.HRDAHead, context: Sequence[Tensor], detail: Sequence[Tensor], crop_box: CropBox
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    lr, hr = self.head(context), self.head(detail)
    attention = self._attention(context, lr)
    inside = hrda.mask_attention(attention, crop_box.divided(self.output_stride * self.scale_ratio))
    pasted = hrda.paste(hr, crop_box.divided(self.output_stride), self._detail_grid(lr))
    return hrda.fuse(lr, inside, pasted), lr, hr, attention


def raw_context_loss(
    self: hrda.HRDAHead, context: Sequence[Tensor], detail: Sequence[Tensor], crop_box: CropBox
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    fused, _, hr, attention = PUBLISHED_HEAD_PASS(self, context, detail, crop_box)
    return fused, self.head(context), hr, attention


def attention_detached(self: hrda.HRDAHead, context: Sequence[Tensor], logits: Tensor) -> Tensor:
    return PUBLISHED_ATTENTION(self, [level.detach() for level in context], logits)


def fused_loss_not_reduced(
    output: hrda.HRDAOutput, label: Tensor, *args: Any, **kwargs: Any
) -> dict[str, Tensor]:
    losses = PUBLISHED_LOSS(output, label, *args, **kwargs)
    share = 1 - kwargs["hr_weight"] - kwargs["lr_weight"]
    return {**losses, "loss_seg": losses["loss_seg"] / share}


def detail_loss_not_weighted_per_pixel(
    output: hrda.HRDAOutput, label: Tensor, weight: Tensor | None, **shares: Any
) -> dict[str, Tensor]:
    losses = PUBLISHED_LOSS(output, label, weight, **shares)
    return {**losses, "hr.loss_seg": PUBLISHED_LOSS(output, label, None, **shares)["hr.loss_seg"]}


def adjacent_windows(image: Size, crop: Size, stride: Size) -> Any:
    return windows(image, crop, crop)


def image_by_image(logits: Tensor, boxes: Sequence[CropBox]) -> Tensor:
    """Takes the batch of windows to be ordered image by image."""
    number = len(boxes)
    swapped = logits.view(logits.shape[0] // number, number, *logits.shape[1:]).transpose(0, 1)
    return PUBLISHED_AVERAGE(swapped.flatten(0, 1), boxes)


def last_window_wins(logits: Tensor, boxes: Sequence[CropBox]) -> Tensor:
    parts = logits.chunk(len(boxes))
    total = PUBLISHED_AVERAGE(logits, boxes)
    for part, box in zip(parts, boxes, strict=True):
        total[..., box.slices[0], box.slices[1]] = part
    return total


def rounded_box(self: CropBox, divisor: float) -> CropBox:
    return CropBox(*(int(edge / divisor + 0.5) for edge in self))


def last_offset_drawn(margin: int, divisor: int, reach_edge: bool = False) -> int:
    return margin // divisor + 1


def every_offset_drawn(margin: int, divisor: int, reach_edge: bool = False) -> int:
    return margin + 1


HEAD, INFERENCE = "hrda_head_train", "hrda_inference"

MUTATIONS = [
    Mutation("epsilon 1e-5 in every norm", "mit_backbone", mit, "BLOCK_NORM_EPS", 1e-5),
    Mutation("epsilon 1e-6 in every norm", "mit_backbone_lowvar", mit, "EMBED_NORM_EPS", 1e-6),
    Mutation("GELU by tanh", "mit_backbone", mit, "_GELU_FORM", "tanh"),
    Mutation("values before keys", "mit_backbone", mit.Attention, "forward", values_before_keys),
    Mutation("raw map to the next stage", "mit_backbone", mit.MiT, "forward", next_stage_reads_the_raw_map),
    Mutation("corners aligned", "daformer_head_sepaspp", daformer, "resize", corners_aligned),
    Mutation("nearest resizing", "daformer_head_sepaspp", daformer, "resize", nearest),
    Mutation(
        "levels coarse to fine", "daformer_head_conv1", daformer.DAFormerHead, "forward", coarse_to_fine
    ),
    Mutation(
        "isa padded at the end", "daformer_head_isa", isa.InterlacedAttention, "_margins", padded_at_the_end
    ),
    Mutation("attention not masked", HEAD, hrda, "mask_attention", not_masked),
    Mutation("mask after upsampling", HEAD, hrda.HRDAHead, "forward_train", mask_after_upsampling),
    Mutation("context not weighted", HEAD, hrda.HRDAHead, "forward_train", context_not_weighted),
    Mutation("detail decoded first", HEAD, hrda.HRDAHead, "forward_train", detail_first),
    Mutation("context loss on raw logits", HEAD, hrda.HRDAHead, "forward_train", raw_context_loss),
    Mutation("attention detached", HEAD, hrda.HRDAHead, "_attention", attention_detached),
    Mutation("corners aligned in the fusion", HEAD, hrda, "resize_logits", corners_aligned),
    Mutation("fused loss not reduced", HEAD, hrda_head.hrda, "hrda_loss", fused_loss_not_reduced),
    Mutation(
        "detail loss without weights", HEAD, hrda_head.hrda, "hrda_loss", detail_loss_not_weighted_per_pixel
    ),
    Mutation("box rounded", "hrda_head_train_dlv2", CropBox, "divided", rounded_box),
    Mutation("windows do not overlap", INFERENCE, hrda, "windows", adjacent_windows),
    Mutation("windows image by image", INFERENCE, hrda, "average_windows", image_by_image),
    Mutation("last window wins", INFERENCE, hrda, "average_windows", last_window_wins),
    Mutation("context antialiased", INFERENCE, hrda, "_scale", antialiased),
    Mutation("teacher in evaluation mode", INFERENCE, segmentors, "teacher_mode", lambda teacher: None),
    Mutation("teacher imported", "converted_forward_hrda", segmentors, "SELF_TRAINING", TEACHER_FIRST),
    Mutation("last offset drawn", "hrda_crop_box", detail_crop, "number_of_offsets", last_offset_drawn),
    Mutation("every offset drawn", "hrda_crop_box", detail_crop, "number_of_offsets", every_offset_drawn),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_mistake_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_noticed(mutation, monkeypatch)
