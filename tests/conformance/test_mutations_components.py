"""Typical mistakes in sampling, masking, feature distance and style: each must make a recorded case fail."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.adaptation import ema, feature_distance, masking, style
from adaptbench.data import pseudo_margins
from adaptbench.data import rare_class_sampling as rcs

from .discovery import discover
from .planted import Mutation, assert_noticed
from .runner import open_case, run_case
from .test_golden import COPIED

ELIGIBLE = rcs.eligible_files
PROBABILITIES = rcs.class_probabilities
ACCEPT = rcs.accept_crop
DOWNSCALE = feature_distance.downscale_label
MASKED = feature_distance.masked_distance
COUNT = feature_distance._count_in_blocks
CUT = pseudo_margins.cut_margins
CROP = pseudo_margins.crop_mask
BLOCKS = masking.block_mask
STYLE_OF = style.style_of
IMAGE_STYLES = style.image_styles
UPDATE = ema.update_teacher

Counts = Sequence[rcs.ClassCounts]
CropCount = Callable[[int], int]


def files_with_the_limit(files: Counts, class_id: int, min_pixels: int) -> rcs.IntArray:
    return ELIGIBLE(files, class_id, min_pixels - 1)


def most_frequent_first(totals: rcs.ClassCounts, temperature: float) -> rcs.ClassProbabilities:
    classes, probabilities = PROBABILITIES(totals, temperature)
    return rcs.ClassProbabilities(classes[::-1], probabilities[::-1])


def no_temperature(totals: rcs.ClassCounts, temperature: float) -> rcs.ClassProbabilities:
    return PROBABILITIES(totals, 1.0)


def inverse_frequency(totals: rcs.ClassCounts, temperature: float) -> rcs.ClassProbabilities:
    classes, _ = PROBABILITIES(totals, temperature)
    inverse = 1 / np.array([totals[int(c)] for c in classes], dtype=np.float32)
    return rcs.ClassProbabilities(classes, inverse / inverse.sum())


def crops_with_the_limit(
    draw: Callable[[], int], count: CropCount, min_pixels: int, min_crop_ratio: float
) -> rcs.AcceptedCrop[int]:
    return ACCEPT(draw, lambda crop: count(crop) + 1, min_pixels, min_crop_ratio)


def last_crop_is_checked(
    draw: Callable[[], int], count: CropCount, min_pixels: int, min_crop_ratio: float
) -> rcs.AcceptedCrop[int]:
    return ACCEPT(draw, count, min_pixels, min_crop_ratio, checks=11)


def ten_crops_in_all(
    draw: Callable[[], int], count: CropCount, min_pixels: int, min_crop_ratio: float
) -> rcs.AcceptedCrop[int]:
    return ACCEPT(draw, count, min_pixels, min_crop_ratio, checks=9)


def zero_ratio_still_checks(
    draw: Callable[[], int], count: CropCount, min_pixels: int, min_crop_ratio: float
) -> rcs.AcceptedCrop[int]:
    return ACCEPT(draw, count, min_pixels, max(min_crop_ratio, 1e-9))


def downscaled(share: Callable[[Tensor, Tensor, int], Tensor]) -> Callable[..., Tensor]:
    """A label downscaling with another share of the largest class."""

    def downscale(
        label: Tensor, factor: int, min_ratio: float, num_classes: int, ignore: int = 255
    ) -> Tensor:
        counts = COUNT(label, factor, num_classes, ignore)
        largest, winner = counts.max(-1)
        passes = (share(largest.float(), counts, factor) >= min_ratio) & (winner < num_classes)
        return torch.where(passes, winner, ignore)

    return downscale


def share_of_labelled(largest: Tensor, counts: Tensor, factor: int) -> Tensor:
    return largest / counts[..., :-1].sum(-1).clamp(min=1)


def no_minimum_share(largest: Tensor, counts: Tensor, factor: int) -> Tensor:
    return torch.ones_like(largest)


def remainder_kept(
    label: Tensor, factor: int, min_ratio: float, num_classes: int, ignore: int = 255
) -> Tensor:
    missing = [-side % factor for side in label.shape[2:]]
    padded = functional.pad(label, (0, missing[1], 0, missing[0]), value=ignore)
    return DOWNSCALE(padded, factor, min_ratio, num_classes, ignore)


def nearest_label(
    label: Tensor, factor: int, min_ratio: float, num_classes: int, ignore: int = 255
) -> Tensor:
    rows, columns = (side // factor * factor for side in label.shape[2:])
    return label[..., factor // 2 : rows : factor, factor // 2 : columns : factor]


def empty_mask_costs_nothing(student: Tensor, imagenet: Tensor, mask: Tensor | None = None) -> Tensor:
    return MASKED(student, imagenet, mask).nan_to_num()


def empty_mask_by_plain_division(student: Tensor, imagenet: Tensor, mask: Tensor | None = None) -> Tensor:
    distance: Tensor = torch.linalg.vector_norm(student - imagenet, dim=1)
    where = torch.ones_like(distance) if mask is None else mask.squeeze(1).float()
    return (distance * where).sum() / where.sum()


def averaged_over_all_positions(student: Tensor, imagenet: Tensor, mask: Tensor | None = None) -> Tensor:
    distance: Tensor = torch.linalg.vector_norm(student - imagenet, dim=1)
    return (distance if mask is None else distance * mask.squeeze(1)).mean()


def squared_norm(student: Tensor, imagenet: Tensor, mask: Tensor | None = None) -> Tensor:
    distance = (student - imagenet).square().sum(1)
    return (distance if mask is None else distance[mask.squeeze(1)]).mean()


def scales_averaged(distances: Sequence[feature_distance.FeatureDistance], weight: float) -> Tensor:
    return torch.stack([distance.value for distance in distances]).mean() * weight


def kept_below_the_ratio(draws: Tensor, mask_ratio: float, image_size: tuple[int, int]) -> Tensor:
    return ~BLOCKS(draws, mask_ratio, image_size)


def half_rounded_up(image_size: tuple[int, int], block: int) -> tuple[int, int]:
    rows, columns = (math.floor(side / block + 0.5) for side in image_size)
    return rows, columns


def blocks_of_equal_size(draws: Tensor, mask_ratio: float, image_size: tuple[int, int]) -> Tensor:
    side = [math.ceil(image_size[axis] / draws.shape[axis + 2]) for axis in (0, 1)]
    kept = (draws > mask_ratio).repeat_interleave(side[0], 2).repeat_interleave(side[1], 3)
    return kept[..., : image_size[0], : image_size[1]]


def hidden_pixels_are_black(image: Tensor, mask: Tensor) -> Tensor:
    black = -torch.tensor((123.675, 116.28, 103.53)) / torch.tensor((58.395, 57.12, 57.375))
    return torch.where(mask, image, black.view(1, 3, 1, 1))


def padding_has_no_weight(
    mask: pseudo_margins.UInt8, crop: tuple[slice, slice], flip: bool, size: tuple[int, int]
) -> pseudo_margins.UInt8:
    return CROP(mask, crop, flip, size, padding=0)


def flipped_before_the_crop(
    mask: pseudo_margins.UInt8, crop: tuple[slice, slice], flip: bool, size: tuple[int, int]
) -> pseudo_margins.UInt8:
    return CROP(mask[:, ::-1] if flip else mask, crop, False, size)


def top_and_bottom_swapped(margins: pseudo_margins.Margins, size: tuple[int, int]) -> pseudo_margins.UInt8:
    return CUT(margins._replace(top=margins.bottom, bottom=margins.top), size)


def margins_in_resized_pixels(
    margins: pseudo_margins.Margins, image_size: tuple[int, int], box: tuple[int, int], canvas: object
) -> pseudo_margins.UInt8:
    return CUT(margins, (box[1], box[0]))


def biased_std(features: Tensor) -> style.Style:
    positions = features.detach().flatten(2)
    return style.Style(positions.mean(2), positions.std(2, correction=0) + 1e-7)


def statistics_with_gradient(features: Tensor) -> style.Style:
    positions = features.flatten(2)
    return style.Style(positions.mean(2), positions.std(2) + 1e-7)


def variances_mixed(weights: Tensor, base: style.Style) -> style.Style:
    return style.Style(weights @ base.mean, (weights @ base.std.square()).sqrt())


def styled_first(features: Tensor, weights: Tensor, base: style.Style) -> Tensor:
    return torch.cat([style.restyle(features, style.mix_styles(weights, base)), features])


def always_full_size(stage: Callable[[Tensor], Tensor], image: Tensor, scale: float = 1.0) -> style.Style:
    return IMAGE_STYLES(stage, image)


def farthest_from_the_last(points: Tensor, number: int, start: int) -> Tensor:
    chosen = [start]
    while len(chosen) < number:
        distance = (points - points[chosen[-1]]).square().sum(1)
        distance[chosen] = 0
        chosen.append(int(distance.argmax()))
    return torch.tensor(chosen)


def farthest_on_average(points: Tensor, number: int, start: int) -> Tensor:
    chosen = [start]
    while len(chosen) < number:
        distance = torch.cdist(points, points[chosen]).square().sum(1)
        distance[chosen] = 0
        chosen.append(int(distance.argmax()))
    return torch.tensor(chosen)


def divergence(
    reduce: Callable[[Tensor], Tensor], swapped: bool = False
) -> Callable[[Tensor, float], Tensor]:
    """A consistency loss that reduces the terms (2, B, C, H, W) of both divergences in another way."""

    def consistency(logits: Tensor, weight: float) -> Tensor:
        halves = torch.stack(logits.softmax(1).chunk(2))
        mixture = halves.mean(0, keepdim=True).clamp(1e-7, 1).expand_as(halves)
        first, second = (mixture, halves) if swapped else (halves, mixture)
        return weight * reduce(first * (first.log() - second.log()))

    return consistency


def over_the_batch_only(terms: Tensor) -> Tensor:
    return terms.sum() / terms[:, :, 0, 0, 0].numel()


def over_all_elements(terms: Tensor) -> Tensor:
    return terms.mean()


def over_positions(terms: Tensor) -> Tensor:
    return terms.sum(2).mean()


def halves_summed(terms: Tensor) -> Tensor:
    return 2 * over_positions(terms)


def one_half_only(terms: Tensor) -> Tensor:
    return over_positions(terms[:1])


def teacher_in_eval_mode(module: nn.Module) -> None:
    module.eval()


def teacher_with_dropout(module: nn.Module) -> None:
    module.train()


def buffers_of_the_student(teacher: nn.Module, student: nn.Module, iteration: int, cap: float) -> None:
    UPDATE(teacher, student, iteration, cap)
    for mine, theirs in zip(teacher.buffers(), student.buffers(), strict=True):
        mine.copy_(theirs)


RCS = [
    Mutation("files with exactly the limit", "rcs", rcs, "eligible_files", files_with_the_limit),
    Mutation("most frequent class first", "rcs", rcs, "class_probabilities", most_frequent_first),
    Mutation("no temperature", "rcs", rcs, "class_probabilities", no_temperature),
    Mutation("inverse frequency", "rcs", rcs, "class_probabilities", inverse_frequency),
    Mutation("crops with exactly the limit", "rcs", rcs, "accept_crop", crops_with_the_limit),
    Mutation("last crop checked", "rcs", rcs, "accept_crop", last_crop_is_checked),
    Mutation("ten crops in all", "rcs", rcs, "accept_crop", ten_crops_in_all),
    Mutation("ratio 0 still checks", "rcs", rcs, "accept_crop", zero_ratio_still_checks),
]

DISTANCE = [
    Mutation(mistake, kind, feature_distance, attribute, replacement)
    for mistake, kind, attribute, replacement in (
        ("share of labelled pixels", "label_downscale", "downscale_label", downscaled(share_of_labelled)),
        ("no minimum share", "label_downscale", "downscale_label", downscaled(no_minimum_share)),
        ("remainder kept", "label_downscale", "downscale_label", remainder_kept),
        ("nearest label", "label_downscale", "downscale_label", nearest_label),
        ("empty mask costs nothing", "feature_distance", "masked_distance", empty_mask_costs_nothing),
        ("empty mask has NaN gradient", "feature_distance", "masked_distance", empty_mask_by_plain_division),
        ("average over all positions", "feature_distance", "masked_distance", averaged_over_all_positions),
        ("squared norm", "feature_distance", "masked_distance", squared_norm),
        ("scales averaged", "feature_distance", "feature_distance_loss", scales_averaged),
    )
]

MASKS = [
    Mutation("kept below the ratio", "mic_mask", masking, "block_mask", kept_below_the_ratio),
    Mutation("half rounded up", "mic_mask", masking, "grid_size", half_rounded_up),
    Mutation("blocks of equal size", "mic_mask", masking, "block_mask", blocks_of_equal_size),
    Mutation("hidden pixels black", "mic_mask", masking, "mask_image", hidden_pixels_are_black),
    Mutation("padding without weight", "pseudo_margins", pseudo_margins, "crop_mask", padding_has_no_weight),
    Mutation("flip before crop", "pseudo_margins", pseudo_margins, "crop_mask", flipped_before_the_crop),
    Mutation("margins swapped", "pseudo_margins", pseudo_margins, "cut_margins", top_and_bottom_swapped),
    Mutation("cut after resize", "pseudo_margins", pseudo_margins, "margin_mask", margins_in_resized_pixels),
]

STYLE = [
    Mutation(mistake, f"dg_style_{kind}", style, attribute, replacement)
    for mistake, kind, attribute, replacement in (
        ("biased std", "hallucination", "style_of", biased_std),
        ("biased std of the bank", "bank", "style_of", biased_std),
        ("statistics not detached", "hallucination", "style_of", statistics_with_gradient),
        ("variances mixed", "hallucination", "mix_styles", variances_mixed),
        ("restyled half first", "hallucination", "hallucinate", styled_first),
        ("full-size images for HRDA", "bank", "image_styles", always_full_size),
        ("farthest from the last", "bank", "farthest_points", farthest_from_the_last),
        ("farthest on average", "bank", "farthest_points", farthest_on_average),
        ("mean over the batch only", "consistency", "style_consistency", divergence(over_the_batch_only)),
        ("mean over all elements", "consistency", "style_consistency", divergence(over_all_elements)),
        ("halves summed", "consistency", "style_consistency", divergence(halves_summed)),
        ("one half only", "consistency", "style_consistency", divergence(one_half_only)),
        ("arguments swapped", "consistency", "style_consistency", divergence(over_positions, swapped=True)),
    )
]

TEACHER = [
    Mutation("teacher in eval mode", "teacher_mode", ema, "teacher_mode", teacher_in_eval_mode),
    Mutation("teacher with dropout", "teacher_mode", ema, "teacher_mode", teacher_with_dropout),
    Mutation("buffers of the student", "teacher_mode", ema, "update_teacher", buffers_of_the_student),
]

MUTATIONS = [*RCS, *DISTANCE, *MASKS, *STYLE, *TEACHER]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_mistake_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_noticed(mutation, monkeypatch)


@pytest.mark.parametrize("kind", sorted({mutation.kind for mutation in MUTATIONS}))
def test_without_a_mistake_the_cases_pass(kind: str) -> None:
    for file in discover(COPIED, [kind]):
        run_case(open_case(file))
