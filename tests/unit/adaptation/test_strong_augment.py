"""Colour jitter and blur against pixel-by-pixel versions."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from adaptbench.adaptation.color_jitter import (
    JitterDraw,
    JitterStrength,
    adjust_hue,
    adjust_saturation,
    color_jitter,
    draw_jitter,
    factor_range,
    jitter_applies,
)
from adaptbench.adaptation.gaussian_blur import blur_applies, draw_sigma, gaussian_blur, kernel_side
from adaptbench.adaptation.strong_augment import AugmentDraw, augment, draw_augment, strong_augment

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
CHANNEL = st.integers(0, 255).map(lambda grey: grey / 255)


def normalised(*shape: int) -> Tensor:
    rgb = 255 * torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape)))
    return (rgb - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def one(value: float) -> Tensor:
    return torch.full((1, 1, 1, 1), value)


@settings(deadline=None, max_examples=300)
@given(st.tuples(CHANNEL, CHANNEL, CHANNEL), st.floats(0.0, 2.0), st.floats(-0.5, 0.5))
def test_saturation_and_hue_equal_the_hsv_round_trip(
    pixel: tuple[float, float, float], factor: float, turns: float
) -> None:
    rgb = torch.tensor(pixel).view(1, 3, 1, 1)
    hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
    published = saturation * value / (value + 1e-6)
    saturated = colorsys.hsv_to_rgb(hue, min(published * factor, 1.0), value)
    turned = colorsys.hsv_to_rgb((hue + turns) % 1.0, published, value)
    assert adjust_saturation(rgb, one(factor)).flatten().tolist() == pytest.approx(saturated, abs=2e-6)
    assert adjust_hue(rgb, one(turns)).flatten().tolist() == pytest.approx(turned, abs=5e-6)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 0, 3, 2), (3, 2, 1, 0)])
@pytest.mark.parametrize("batch", [1, 3])
def test_each_image_has_its_own_factors(order: tuple[int, ...], batch: int) -> None:
    image = normalised(batch, 3, 6, 5)
    drawn = draw_jitter(0.2, batch, torch.Generator().manual_seed(1))
    draw = JitterDraw(drawn.brightness, drawn.contrast, drawn.saturation, drawn.hue, order)
    jittered = color_jitter(image, draw, MEAN, STD)
    for i in range(batch):
        row = slice(i, i + 1)
        own = JitterDraw(draw.brightness[row], draw.contrast[row], draw.saturation[row], draw.hue[row], order)
        alone = color_jitter(image[row], own, MEAN, STD)
        torch.testing.assert_close(jittered[row], alone)


def test_neutral_factors_change_nothing_and_the_input_stays() -> None:
    image = normalised(2, 3, 8, 8)
    before = image.clone()
    neutral = JitterDraw(torch.ones(2), torch.ones(2), torch.ones(2), torch.zeros(2), (2, 0, 3, 1))
    torch.testing.assert_close(color_jitter(image, neutral, MEAN, STD), image, atol=2e-5, rtol=0)
    assert torch.equal(image, before)


def test_draws_follow_the_published_order_and_ranges() -> None:
    strength = JitterStrength(brightness=0.3, contrast=0.1, saturation=1.5, hue=0.05)
    draw = draw_jitter(strength, 500, torch.Generator().manual_seed(0))
    uniform = torch.Generator().manual_seed(0)
    for values, (low, high) in (
        (draw.brightness, (0.7, 1.3)),
        (draw.contrast, (0.9, 1.1)),
        (draw.hue, (-0.05, 0.05)),
        (draw.saturation, (0.0, 2.5)),
    ):
        torch.testing.assert_close(values, low + (high - low) * torch.rand(500, generator=uniform))
    assert draw.order == tuple(torch.randperm(4, generator=uniform).tolist())
    assert factor_range(1.5) == (0.0, 2.5)


def test_decisions_need_a_draw_above_the_parameter() -> None:
    assert [jitter_applies(draw, 0.2) for draw in (0.1, 0.2, 0.21)] == [False, False, True]
    assert [blur_applies(draw) for draw in (0.4, 0.5, 0.51)] == [False, False, True]


def naive_blur(image: Tensor, sigma: float) -> Tensor:
    """Convolve with the full two-dimensional kernel."""
    sides = [kernel_side(side) for side in image.shape[2:]]
    weights = [
        torch.exp(-((torch.arange(side, dtype=torch.float64) - side // 2) ** 2) / (2 * sigma**2))
        for side in sides
    ]
    kernel = torch.outer(weights[0] / weights[0].sum(), weights[1] / weights[1].sum())
    pad = (sides[1] // 2, sides[1] // 2, sides[0] // 2, sides[0] // 2)
    planes = functional.pad(image.double(), pad, mode="reflect").flatten(0, 1).unsqueeze(1)
    return functional.conv2d(planes, kernel[None, None]).view(image.shape).float()


@pytest.mark.parametrize("size", [(7, 9), (24, 96), (50, 36), (200, 64), (64, 256)])
@pytest.mark.parametrize("sigma", [0.15, 0.6, 1.15, 4.0])
def test_blur_equals_the_full_kernel(size: tuple[int, int], sigma: float) -> None:
    image = normalised(1, 3, *size)
    torch.testing.assert_close(gaussian_blur(image, sigma), naive_blur(image, sigma), atol=2e-6, rtol=0)


@given(st.integers(1, 4096))
def test_kernel_sides_are_odd_and_a_tenth_of_the_image(side: int) -> None:
    assert kernel_side(side) % 2 == 1
    assert 0 <= math.ceil(0.1 * side) - kernel_side(side) <= 1


def test_sigma_range() -> None:
    generator = np.random.default_rng(0)
    drawn = [draw_sigma(generator) for _ in range(2000)]
    assert min(drawn) == pytest.approx(0.15, abs=0.01)
    assert max(drawn) == pytest.approx(1.15, abs=0.01)


def test_jitter_comes_before_blur_and_each_image_has_its_draw() -> None:
    images = normalised(2, 3, 40, 48)
    generators = torch.Generator().manual_seed(0), np.random.default_rng(0)
    draws = [draw_augment(1, 0.2, True, *generators), AugmentDraw()]
    augmented = strong_augment(images, draws, MEAN, STD)
    assert draws[0].jitter is not None
    assert draws[0].sigma is not None
    expected = gaussian_blur(color_jitter(images[:1], draws[0].jitter, MEAN, STD), draws[0].sigma)
    assert torch.equal(augmented[:1], expected)
    assert torch.equal(augmented[1:], images[1:])


def test_one_draw_for_the_whole_batch() -> None:
    images = normalised(3, 3, 16, 16)
    draw = draw_augment(3, 0.2, False, torch.Generator().manual_seed(0), np.random.default_rng(0))
    assert draw.sigma is None
    assert augment(images, draw, torch.tensor(MEAN), torch.tensor(STD)).shape == images.shape


def test_errors() -> None:
    images = normalised(2, 3, 16, 16)
    draw = draw_jitter(0.2, 1, torch.Generator())
    with pytest.raises(ValueError, match="one for each of 2"):
        strong_augment(images, [AugmentDraw()], MEAN, STD)
    with pytest.raises(ValueError, match="one for each of 2"):
        color_jitter(images, draw, MEAN, STD)
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\)"):
        color_jitter(images[0], draw, MEAN, STD)
    with pytest.raises(ValueError, match="permutation"):
        JitterDraw(draw.brightness, draw.contrast, draw.saturation, draw.hue, (0, 1, 2))
    with pytest.raises(ValueError, match="hue"):
        draw_jitter(0.6, 1, torch.Generator())
    with pytest.raises(ValueError, match="sigma"):
        gaussian_blur(images, 0.0)
    with pytest.raises(ValueError, match="B, C, H, W"):
        gaussian_blur(images[0], 1.0)
    with pytest.raises(ValueError, match="at least 1"):
        kernel_side(0)
