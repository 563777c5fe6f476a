"""Coarse labels and feature distance, block by block and position by position."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from adaptbench.adaptation.feature_distance import (
    downscale_label,
    feature_distance,
    feature_distance_loss,
    masked_distance,
    thing_mask,
)


def random_label(shape: tuple[int, ...], classes: int) -> Tensor:
    values = torch.randint(0, classes + 1, shape, generator=torch.Generator().manual_seed(sum(shape)))
    return values.masked_fill(values == classes, 255)


def naive_label(label: Tensor, factor: int, min_ratio: float, classes: int) -> Tensor:
    rows, columns = label.shape[2] // factor, label.shape[3] // factor
    coarse = torch.full((label.shape[0], 1, rows, columns), 255)
    for sample in range(label.shape[0]):
        for row in range(rows):
            for column in range(columns):
                y, x = row * factor, column * factor
                block = label[sample, 0, y : y + factor, x : x + factor].flatten().tolist()
                winner = max([*range(classes), 255], key=block.count)
                if block.count(winner) >= min_ratio * factor**2 - 1e-6:
                    coarse[sample, 0, row, column] = winner
    return coarse


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("min_ratio", [0.0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize(
    ("shape", "factor"), [((1, 1, 8, 8), 2), ((2, 1, 9, 14), 2), ((2, 1, 13, 12), 3), ((1, 1, 16, 20), 4)]
)
def test_coarse_labels_equal_the_naive_version(
    shape: tuple[int, ...], factor: int, min_ratio: float, classes: int
) -> None:
    label = random_label(shape, classes)
    assert torch.equal(
        downscale_label(label, factor, min_ratio, classes), naive_label(label, factor, min_ratio, classes)
    )


@pytest.mark.parametrize(
    ("block", "expected"),
    [([1, 1, 255, 255], 1), ([3, 1, 3, 1], 1), ([255, 255, 255, 4], 255), ([4, 0, 255, 255], 255)],
)
def test_ties_and_ignored_pixels(block: list[int], expected: int) -> None:
    label = torch.tensor(block).view(1, 1, 2, 2)
    assert downscale_label(label, 2, 0.25, 5).item() == expected


@pytest.mark.parametrize(("ratio", "factor", "pixels"), [(0.75, 4, 12), (0.7, 10, 70), (0.3, 10, 30)])
def test_a_share_equal_to_the_minimum_passes(ratio: float, factor: int, pixels: int) -> None:
    others = torch.arange(1, factor**2 - pixels + 1) % 50 + 1
    label = torch.cat([torch.zeros(pixels, dtype=torch.int64), others]).view(1, 1, factor, factor)
    assert downscale_label(label, factor, ratio, 60).item() == 0
    label[0, 0, 0, 0] = 55
    assert downscale_label(label, factor, ratio, 60).item() == 255


def test_wrong_labels_are_refused() -> None:
    label = torch.zeros(1, 1, 4, 4, dtype=torch.int64)
    with pytest.raises(ValueError, match="2 or more pixels"):
        downscale_label(label, 1, 0.75, 19)
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        downscale_label(label[0], 2, 0.75, 19)
    with pytest.raises(ValueError, match=r"values 0\.\.18 or 255"):
        downscale_label(label + 20, 2, 0.75, 19)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 2, 2), (2, 12, 3, 4)])
@pytest.mark.parametrize("masked", [True, False])
def test_distance_equals_the_naive_version(shape: tuple[int, int, int, int], masked: bool) -> None:
    generator = torch.Generator().manual_seed(sum(shape))
    student, imagenet = torch.randn(2, *shape, generator=generator).unbind()
    mask = torch.rand(shape[0], 1, *shape[2:], generator=generator) < 0.6
    mask[0, 0, 0, 0] = True
    norms = []
    for sample, _, row, column in torch.cartesian_prod(*(torch.arange(n) for n in mask.shape)).tolist():
        if mask[sample, 0, row, column] or not masked:
            difference = (student - imagenet)[sample, :, row, column].tolist()
            norms.append(math.sqrt(sum(value**2 for value in difference)))
    got = masked_distance(student, imagenet, mask if masked else None).item()
    assert got == pytest.approx(sum(norms) / len(norms), rel=1e-5)


def test_an_empty_mask_logs_nan_and_moves_nothing() -> None:
    student = torch.randn(2, 3, 2, 2, requires_grad=True)
    loss = masked_distance(student, torch.randn(2, 3, 2, 2), torch.zeros(2, 1, 2, 2, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.isnan()
    assert torch.equal(gradient, torch.zeros_like(gradient))


def test_equal_features_have_a_finite_gradient() -> None:
    student = torch.ones(1, 3, 2, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(masked_distance(student, torch.ones(1, 3, 2, 2)), student)
    assert torch.equal(gradient, torch.zeros_like(gradient))


def test_an_empty_scale_makes_the_sum_nan_and_leaves_the_gradient_of_the_other() -> None:
    label = torch.zeros(1, 1, 16, 16, dtype=torch.int64)
    label[..., :8, :8] = 7
    context, detail = torch.randn(1, 4, 2, 2, requires_grad=True), torch.randn(1, 4, 2, 2, requires_grad=True)
    features = (context, detail), (torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2))
    labels = (label, label[..., 8:16, 8:16])
    both = [feature_distance(*three, [7], 0.75, 19) for three in zip(*features, labels, strict=True)]
    loss = feature_distance_loss(both, weight=2.0)
    gradients = torch.autograd.grad(loss, (context, detail))
    alone = feature_distance(context, features[1][0], label, [7], 0.75, 19)
    expected = torch.autograd.grad(feature_distance_loss([alone], weight=2.0), context)
    assert loss.isnan()
    assert torch.equal(gradients[0], expected[0])
    assert torch.equal(gradients[1], torch.zeros_like(detail))


def test_thing_mask() -> None:
    assert thing_mask(torch.tensor([[[[0, 7, 255, 18]]]]), [7, 18]).flatten().tolist() == [0, 1, 0, 1]


def test_shapes_have_to_fit() -> None:
    features = torch.zeros(1, 3, 2, 2)
    with pytest.raises(ValueError, match="differ in shape"):
        masked_distance(features, torch.zeros(1, 3, 2, 3))
    with pytest.raises(ValueError, match="does not fit"):
        masked_distance(features, features, torch.zeros(1, 1, 2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="one per scale"):
        feature_distance_loss([], 1.0)
