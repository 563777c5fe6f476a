"""Typical mistakes of a re-implementation, planted one at a time: each must make a recorded case fail."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.adaptation import class_mix, color_jitter, ema, gaussian_blur, pseudo_label

from .planted import Mutation, assert_noticed

PUBLISHED_LABEL = pseudo_label.pseudo_label
PUBLISHED_RESTRICT = pseudo_label.restrict
PUBLISHED_CANDIDATES = class_mix.candidate_classes
PUBLISHED_MASK = class_mix.class_mask
PUBLISHED_MIX = class_mix.class_mix
PUBLISHED_UPDATE = ema.update_teacher


def strict_threshold(logits: Tensor, threshold: float) -> pseudo_label.PseudoLabel:
    return PUBLISHED_LABEL(logits, float(np.nextafter(np.float32(threshold), np.float32(2))))


def share_per_image(logits: Tensor, threshold: float) -> pseudo_label.PseudoLabel:
    parts = [PUBLISHED_LABEL(image[None], threshold) for image in logits]
    return pseudo_label.PseudoLabel(*(torch.cat(column) for column in zip(*parts, strict=True)))


def weight_per_pixel(logits: Tensor, threshold: float) -> pseudo_label.PseudoLabel:
    confident = logits.softmax(1).amax(1) >= threshold
    return pseudo_label.PseudoLabel(logits.argmax(1), confident.float(), confident)


def ties_to_higher_class(logits: Tensor, threshold: float) -> pseudo_label.PseudoLabel:
    label, weight, confident = PUBLISHED_LABEL(logits.flip(1), threshold)
    return pseudo_label.PseudoLabel(logits.shape[1] - 1 - label, weight, confident)


def padding_has_no_weight(
    weight: Tensor, mask: Tensor | None = None, ignore_top: int = 0, ignore_bottom: int = 0
) -> Tensor:
    return PUBLISHED_RESTRICT(weight, mask, ignore_top, ignore_bottom, padding="zero")


def top_and_bottom_swapped(
    weight: Tensor, mask: Tensor | None = None, ignore_top: int = 0, ignore_bottom: int = 0
) -> Tensor:
    return PUBLISHED_RESTRICT(weight, mask, ignore_bottom, ignore_top)


def classes_of_each_sample(labels: Tensor, generator: np.random.Generator) -> list[class_mix.ClassIds]:
    drawn = []
    for label in labels:
        candidates = PUBLISHED_CANDIDATES(label)
        number = (len(candidates) + 1) // 2
        drawn.append(candidates[generator.choice(len(candidates), number, replace=False)])
    return drawn


def half_rounded_down(labels: Tensor, generator: np.random.Generator) -> list[class_mix.ClassIds]:
    candidates = PUBLISHED_CANDIDATES(labels)
    number = len(candidates) // 2
    return [candidates[generator.choice(len(candidates), number, replace=False)] for _ in labels]


def ignore_is_no_candidate(labels: Tensor) -> class_mix.ClassIds:
    candidates = PUBLISHED_CANDIDATES(labels)
    return np.delete(candidates, np.flatnonzero(candidates == 255))


def mask_is_the_target(labels: Tensor, classes: list[class_mix.ClassIds]) -> Tensor:
    return ~PUBLISHED_MASK(labels, classes)


def ignored_pixels_weigh_nothing(**inputs: Tensor) -> class_mix.Mixed:
    mixed = PUBLISHED_MIX(**inputs)  # type: ignore[arg-type]
    return mixed._replace(weight=mixed.weight * (mixed.label != 255).squeeze(1))


def side_rounded_up_to_odd(image_side: int) -> int:
    side = math.ceil(0.1 * image_side)
    return side + 1 - side % 2


def zero_border(image: Tensor, pad: tuple[int, ...], mode: str) -> Tensor:
    return torch.constant_pad_nd(image, pad)


def multiplicative_brightness(rgb: Tensor, factor: Tensor) -> Tensor:
    return (rgb * factor).clamp(0, 1)


def contrast_around_the_mean(rgb: Tensor, factor: Tensor) -> Tensor:
    mean = rgb.mean((1, 2, 3), keepdim=True)
    return (mean + (rgb - mean) * factor).clamp(0, 1)


def saturation_by_grey_blend(rgb: Tensor, factor: Tensor) -> Tensor:
    grey = (rgb * torch.tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return (grey + (rgb - grey) * factor).clamp(0, 1)


def operation(index: int, replacement: Callable[[Tensor, Tensor], Tensor]) -> tuple[object, ...]:
    operations: list[object] = list(color_jitter._OPERATIONS)
    operations[index] = replacement
    return tuple(operations)


def hue_in_half_turns(rgb: Tensor, turns: Tensor) -> Tensor:
    return color_jitter.adjust_hue(rgb, turns / 2)


def buffers_follow(teacher: nn.Module, student: nn.Module, iteration: int, cap: float) -> None:
    PUBLISHED_UPDATE(teacher, student, iteration, cap)
    for mine, theirs in zip(teacher.buffers(), student.buffers(), strict=True):
        mine.copy_(theirs)


def no_copy_at_the_start(teacher: nn.Module, student: nn.Module, iteration: int, cap: float) -> None:
    if iteration > 0:
        PUBLISHED_UPDATE(teacher, student, iteration, cap)


def shares_swapped(teacher: nn.Module, student: nn.Module, iteration: int, cap: float) -> None:
    with torch.no_grad():
        share = ema.ema_alpha(iteration, cap)
        for mine, theirs in zip(teacher.parameters(), student.parameters(), strict=True):
            mine.copy_(theirs if iteration == 0 else (1 - share) * mine + share * theirs)


MUTATIONS = [
    Mutation("threshold exclusive", "pseudo_label", pseudo_label, "pseudo_label", strict_threshold),
    Mutation("share of each image", "pseudo_label", pseudo_label, "pseudo_label", share_per_image),
    Mutation("weight of each pixel", "pseudo_label", pseudo_label, "pseudo_label", weight_per_pixel),
    Mutation("ties to the higher class", "pseudo_label", pseudo_label, "pseudo_label", ties_to_higher_class),
    Mutation("padding without weight", "pseudo_label", pseudo_label, "restrict", padding_has_no_weight),
    Mutation("top and bottom swapped", "pseudo_label", pseudo_label, "restrict", top_and_bottom_swapped),
    Mutation("classes of each sample", "class_mix", class_mix, "draw_classes", classes_of_each_sample),
    Mutation("half rounded down", "class_mix", class_mix, "draw_classes", half_rounded_down),
    Mutation("255 never drawn", "class_mix", class_mix, "candidate_classes", ignore_is_no_candidate),
    Mutation("mask inverted", "class_mix", class_mix, "class_mask", mask_is_the_target),
    Mutation("pasted 255 without weight", "class_mix", class_mix, "class_mix", ignored_pixels_weigh_nothing),
    Mutation("kernel side rounded up", "gaussian_blur", gaussian_blur, "kernel_side", side_rounded_up_to_odd),
    Mutation("zero border", "gaussian_blur", functional, "pad", zero_border),
    Mutation(
        "multiplicative brightness",
        "color_jitter",
        color_jitter,
        "_OPERATIONS",
        operation(0, multiplicative_brightness),
    ),
    Mutation(
        "contrast around the mean",
        "color_jitter",
        color_jitter,
        "_OPERATIONS",
        operation(1, contrast_around_the_mean),
    ),
    Mutation(
        "saturation by blending with grey",
        "color_jitter",
        color_jitter,
        "_OPERATIONS",
        operation(2, saturation_by_grey_blend),
    ),
    Mutation(
        "hue in half turns", "color_jitter", color_jitter, "_OPERATIONS", operation(3, hue_in_half_turns)
    ),
    Mutation("larger saturation epsilon", "color_jitter", color_jitter, "_SATURATION_EPSILON", 1e-3),
    Mutation("buffers averaged", "ema", ema, "update_teacher", buffers_follow),
    Mutation("no copy at the start", "ema", ema, "update_teacher", no_copy_at_the_start),
    Mutation("shares swapped", "ema", ema, "update_teacher", shares_swapped),
    Mutation("no warm-up", "ema", ema, "ema_alpha", lambda iteration, cap: cap),
    Mutation("counting from 1", "ema", ema, "ema_alpha", lambda t, cap: min(1 - 1 / (t + 2), cap)),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_mistake_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_noticed(mutation, monkeypatch)
