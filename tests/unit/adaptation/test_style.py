"""SHADE against plain loops."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import torch
from torch import Tensor

from adaptbench.adaptation.style import (
    Style,
    StyleHallucination,
    base_styles,
    collect_styles,
    draw_style_weights,
    farthest_points,
    hallucinate,
    mix_styles,
    restyle,
    style_consistency,
    style_of,
)


def features(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("shape", [(1, 1, 1, 2), (2, 3, 4, 5), (1, 8, 7, 3)])
def test_statistics_equal_the_naive_version(shape: tuple[int, ...]) -> None:
    maps = features(*shape)
    mean, std = style_of(maps)
    for sample in range(shape[0]):
        for channel in range(shape[1]):
            values = maps[sample, channel].flatten().tolist()
            assert mean[sample, channel].item() == pytest.approx(statistics.fmean(values), abs=1e-6)
            assert std[sample, channel].item() == pytest.approx(statistics.stdev(values), abs=1e-6)


def test_restyled_features_have_the_new_style() -> None:
    new = Style(features(2, 6), features(2, 6).abs() + 0.5)
    found = style_of(restyle(3 * features(2, 6, 9, 8) + 1, new))
    torch.testing.assert_close(found.mean, new.mean, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.std, new.std, atol=1e-5, rtol=1e-4)


def test_own_statistics_are_constants_for_the_gradient() -> None:
    maps = features(2, 3, 4, 4).requires_grad_()
    new = Style(torch.zeros(2, 3), torch.full((2, 3), 2.0))
    (gradient,) = torch.autograd.grad(restyle(maps, new).sum(), maps)
    expected = (2.0 / style_of(maps).std)[:, :, None, None].expand_as(maps)
    torch.testing.assert_close(gradient, expected)


def test_one_hot_weights_pick_a_base_style() -> None:
    base = Style(features(5, 3), features(5, 3).abs())
    mixed = mix_styles(torch.eye(5)[[4, 1]], base)
    assert torch.equal(mixed.mean, base.mean[[4, 1]])
    assert torch.equal(mixed.std, base.std[[4, 1]])


@pytest.mark.parametrize("concentration", [0.0156, 0.125, 1.0])
def test_weights_are_distributions(concentration: float) -> None:
    weights = draw_style_weights(500, 64, concentration, np.random.default_rng(0))
    assert weights.shape == (500, 64)
    assert bool((weights >= 0).all())
    torch.testing.assert_close(weights.sum(1), torch.ones(500))
    # Variance of one component of a symmetric Dirichlet distribution.
    variance = (1 / 64) * (63 / 64) / (64 * concentration + 1)
    assert weights.var().item() == pytest.approx(variance, rel=0.2)


def test_each_pass_draws_its_own_weights_and_only_inside_the_block() -> None:
    module = StyleHallucination(3, 2)
    module.set_base(Style(features(2, 3), features(2, 3).abs()))
    maps, weights = features(1, 3, 4, 4), iter(torch.eye(2)[:, None])
    with module.drawing(lambda batch: next(weights)):
        passes = [module(maps), module(maps)]
    for index, got in enumerate(passes):
        assert torch.equal(got, hallucinate(maps, torch.eye(2)[index : index + 1], module.base))
    assert not torch.equal(*passes)
    with pytest.raises(RuntimeError, match="outside"):
        module(maps)


def test_buffers_have_the_published_names_and_shapes_are_checked() -> None:
    module = StyleHallucination(4)
    assert {name: tuple(value.shape) for name, value in module.state_dict().items()} == {
        "proto_mean": (4, 4),
        "proto_std": (4, 4),
    }
    with pytest.raises(ValueError, match=r"expected shape \(4, 4\)"):
        module.set_base(Style(torch.zeros(3, 4), torch.zeros(3, 4)))


@pytest.mark.parametrize(("number", "points", "start"), [(1, 1, 0), (4, 9, 3), (9, 9, 8), (6, 30, 0)])
def test_farthest_points_equal_the_naive_version(number: int, points: int, start: int) -> None:
    candidates = features(points, 5)
    chosen = [start]
    while len(chosen) < number:
        distances = [
            min(math.dist(candidate, candidates[c].tolist()) for c in chosen)
            for candidate in candidates.tolist()
        ]
        chosen.append(distances.index(max(distances)))
    assert farthest_points(candidates, number, start).tolist() == chosen


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot choose 4 of 3"):
        farthest_points(torch.zeros(3, 2), 4, 0)
    with pytest.raises(ValueError, match="cannot choose"):
        farthest_points(torch.zeros(3, 2), 2, 3)


def test_base_styles_of_collected_batches() -> None:
    images = [features(2, 3, 8, 8), features(1, 3, 8, 6)]
    styles = collect_styles(lambda image: image, images)
    assert torch.equal(styles.mean[2:], style_of(images[1]).mean)
    base = base_styles(styles, 2, start=1)
    chosen = farthest_points(torch.cat([styles.mean, styles.std], 1), 2, 1)
    assert torch.equal(base.vectors(), styles.vectors()[chosen])
    with pytest.raises(ValueError, match="at least one batch"):
        collect_styles(lambda image: image, [])


def test_images_are_scaled_before_the_encoder() -> None:
    seen: list[tuple[int, ...]] = []

    def stage(image: Tensor) -> Tensor:
        seen.append(tuple(image.shape))
        return image

    collect_styles(stage, [features(1, 3, 8, 12)], scale=0.5)
    assert seen == [(1, 3, 4, 6)]


@pytest.mark.parametrize("shape", [(2, 2, 1, 1), (4, 5, 3, 2), (2, 19, 2, 3)])
def test_consistency_equals_the_naive_version(shape: tuple[int, int, int, int]) -> None:
    logits = 3 * features(*shape)
    half, classes, height, width = shape[0] // 2, *shape[1:]
    probabilities = logits.double().softmax(1).tolist()
    total = 0.0
    for sample in range(half):
        for y in range(height):
            for x in range(width):
                first = [probabilities[sample][c][y][x] for c in range(classes)]
                second = [probabilities[sample + half][c][y][x] for c in range(classes)]
                for p, q in zip(first, second, strict=True):
                    middle = math.log(min(max((p + q) / 2, 1e-7), 1))
                    total += (p * (math.log(p) - middle) + q * (math.log(q) - middle)) / 2
    expected = 10 * total / (half * height * width)
    assert style_consistency(logits, 10.0).item() == pytest.approx(expected, rel=1e-4)


def test_equal_halves_are_consistent() -> None:
    half = features(2, 4, 3, 3)
    assert style_consistency(torch.cat([half, half]), 10.0).item() == pytest.approx(0, abs=1e-5)
    with pytest.raises(ValueError, match="2B"):
        style_consistency(features(3, 4, 2, 2), 1.0)
    with pytest.raises(ValueError, match="two or more positions"):
        style_of(features(1, 2, 1, 1))
