"""Contrast in blocks against the whole matrix of similarities."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from adaptbench.adaptation.view_contrast import (
    label_at,
    paired_contrast,
    pixel_contrast,
    prototype_contrast,
    prototypes,
)


def naive(first: Tensor, second: Tensor, factor: float) -> Tensor:
    """Row by row, from the formula."""
    rows, count = torch.cat([first, second]), len(first)
    losses = []
    for i in range(2 * count):
        similarity = torch.stack([rows[i] @ row for row in rows])
        similarity[i] = -100_000.0
        losses.append(-(similarity * factor).log_softmax(dim=0)[(i + count) % (2 * count)])
    return torch.stack(losses).mean()


@pytest.mark.parametrize("block", [1, 5, 24, 1000])
@pytest.mark.parametrize("factor", [7.0, 20.0])
def test_blocks_give_the_numbers_and_gradients_of_the_whole(block: int, factor: float) -> None:
    random = torch.Generator().manual_seed(block)
    views = [
        torch.rand(12, 6, generator=random, dtype=torch.float64).softmax(dim=1).requires_grad_() for _ in "ab"
    ]
    expected, found = naive(views[0], views[1], factor), paired_contrast(views[0], views[1], factor, block)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0.0)
    for one, other in zip(
        torch.autograd.grad(found, views), torch.autograd.grad(expected, views), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-14)


def test_nothing_is_kept_without_gradients() -> None:
    views = torch.rand(2, 40, 5).softmax(dim=2)
    with torch.no_grad():
        assert not paired_contrast(views[0], views[1], 20.0, block=7).requires_grad


def test_equal_views_of_different_pixels_cost_little() -> None:
    logits = 100 * torch.eye(9).reshape(9, 3, 3)
    assert pixel_contrast(logits, logits, 20.0) < 1e-6
    alike = torch.zeros(9, 3, 3)
    assert float(pixel_contrast(alike, alike, 20.0)) == pytest.approx(math.log(17))


def test_prototypes_are_the_softmax_of_mean_logits() -> None:
    logits = torch.randn(4, 5, 6)
    label = torch.randint(3, (5, 6))
    label[0] = 255
    classes = torch.unique(label[label != 255])
    for row, c in zip(prototypes(logits, label, classes), classes, strict=True):
        pixels = [logits[:, y, x] for y in range(5) for x in range(6) if label[y, x] == c]
        torch.testing.assert_close(row, torch.stack(pixels).mean(dim=0).softmax(dim=0))


def test_a_image_without_classes_has_no_prototypes() -> None:
    logits = torch.randn(2, 4, 5, 6)
    assert prototype_contrast(logits[0], logits[1], torch.full((5, 6), 255), 7.0) is None
    one = prototype_contrast(logits[0], logits[1], torch.zeros(5, 6, dtype=torch.int64), 7.0)
    assert one is not None
    assert float(one) == pytest.approx(0.0, abs=1e-6)  # the only other row is the right one


def test_labels_follow_the_floor_rule() -> None:
    label = torch.arange(64).reshape(1, 1, 8, 8)
    assert label_at(label, (3, 3)).tolist() == [[[0, 2, 5], [16, 18, 21], [40, 42, 45]]]
    small = functional.interpolate(label.float(), size=(4, 4), mode="nearest").long()
    assert torch.equal(label_at(label, (4, 4)), small[:, 0])
