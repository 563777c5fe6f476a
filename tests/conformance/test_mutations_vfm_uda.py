"""Typical mistakes in VFM-UDA's data, views and teacher, planted one at a time: each must make a recorded case fail."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor, nn
from torchvision.transforms import functional

from adaptbench.adaptation import ema, view_augment
from adaptbench.adaptation.ema import Teacher, average_parameters, ema_alpha
from adaptbench.data import transforms
from adaptbench.data.framing import RescaledCrops, Size
from methods import vfm_uda, vfm_uda_source
from methods.vfm_uda import VFMUDA

from .planted import Mutation, assert_noticed

PUBLISHED_MIX = vfm_uda.class_mix
PUBLISHED_BLUR, PUBLISHED_VIEWS = view_augment.gaussian_blur, vfm_uda.viewed


def counted_from_the_start(self: Teacher, student: nn.Module, iteration: int) -> None:
    share = ema_alpha(iteration, self.cap)
    average_parameters(self.network, student, share)
    ema.average_buffers(self.network, student, share)


def buffers_left_behind(average: nn.Module, network: nn.Module, share: float) -> None:
    pass


def pasted_void_counts(*parts: Any) -> Any:
    mixed = PUBLISHED_MIX(*parts)
    return mixed._replace(label=mixed.label.masked_fill(mixed.label == 255, 254))


def added_brightness(image: Tensor, factor: float) -> Tensor:
    return (image + factor - 1).clamp(0, 1)


def contrast_without_a_mean(image: Tensor, factor: float) -> Tensor:
    return (image * factor).clamp(0, 1)


def kernel_of_the_image(image: Tensor, sigma: float, side: int | None = None) -> Tensor:
    return PUBLISHED_BLUR(image, sigma * 1.2)


def one_view_for_all(image: Tensor, views: Any, *others: Any) -> Tensor:
    return PUBLISHED_VIEWS(image, [views[0]] * len(views), *others)


def truncated_size(self: RescaledCrops, file: Size, box: Size, factor: float) -> Size:
    scale = min(box) / min(file) * factor
    return int(file[0] * scale), int(file[1] * scale)


def longer_side(self: RescaledCrops, file: Size, box: Size, factor: float) -> Size:
    scale = max(box) / max(file) * factor
    return round(file[0] * scale), round(file[1] * scale)


def resized_by_opencv(self: RescaledCrops, image: Any, size: Size) -> Any:
    return transforms.resize_image(image, size)


def any_share(label: Any, class_share_limit: float, ignore: int = 255) -> bool:
    return True


MUTATIONS = [
    Mutation("the teacher counts from the start of the step", "vfmuda_ema", Teacher, "follow", counted_from_the_start),
    Mutation("buffers of the teacher stay", "vfmuda_ema", ema, "average_buffers", buffers_left_behind),
    Mutation("the teacher sees no mirror image", "vfmuda_ema", VFMUDA, "mirrors", False),
    Mutation(
        "brightness is added", "vfmuda_class_mix", view_augment, "STEPS",
        (added_brightness, *view_augment.STEPS[1:]),
    ),
    Mutation(
        "contrast has no mean", "vfmuda_class_mix", view_augment, "STEPS",
        (functional.adjust_brightness, contrast_without_a_mean, *view_augment.STEPS[2:]),
    ),
    Mutation("the blur is wider", "vfmuda_class_mix", view_augment, "gaussian_blur", kernel_of_the_image),
    Mutation("one view serves the batch", "vfmuda_class_mix", vfm_uda, "viewed", one_view_for_all),
    Mutation("pasted void is a class", "vfmuda_class_mix", vfm_uda, "class_mix", pasted_void_counts),
    Mutation("sizes are truncated", "vfmuda_input_pipeline", RescaledCrops, "scaled", truncated_size),
    Mutation("the longer side fits", "vfmuda_input_pipeline", RescaledCrops, "scaled", longer_side),
    Mutation("OpenCV resizes", "vfmuda_input_pipeline", RescaledCrops, "image", resized_by_opencv),
    Mutation("shares of classes do not count", "vfmuda_rare_class_sampler", transforms, "is_mixed", any_share),
    Mutation("ten crops are tried", "vfmuda_rare_class_sampler", vfm_uda_source, "_CHECKS", 10),
]  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_mistake_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_noticed(mutation, monkeypatch)
