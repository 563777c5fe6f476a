"""Loss and accuracy against pixel-by-pixel versions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from adaptbench.adaptation.seg_loss import pixel_accuracy, resize_logits, weighted_cross_entropy


@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (2, 5, 3, 4), (1, 19, 6, 5)])
@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_naive_version(shape: tuple[int, int, int, int], scale: int, weighted: bool) -> None:
    batch, classes, height, width = shape
    size = (height * scale, width * scale)
    generator = torch.Generator().manual_seed(scale)
    logits = torch.randn(shape, generator=generator)
    label = torch.randint(classes, (batch, *size), generator=generator)
    label[torch.rand(label.shape, generator=generator) < 0.3] = 255
    weight = torch.rand(label.shape, generator=generator) if weighted else torch.ones(label.shape)
    resized = functional.interpolate(logits, size=size, mode="bilinear", align_corners=False).double()
    loss, hits = 0.0, 0
    for b, y, x in np.ndindex(label.shape):
        scores, target = resized[b, :, y, x].tolist(), int(label[b, y, x])
        hits += scores.index(max(scores)) == target
        if target != 255:
            loss += float(weight[b, y, x]) * (math.log(sum(map(math.exp, scores))) - scores[target])
    got = weighted_cross_entropy(logits, label.unsqueeze(1), weight if weighted else None)
    assert got.item() == pytest.approx(loss / label.numel(), rel=1e-5, abs=1e-6)
    assert pixel_accuracy(logits, label.unsqueeze(1)).item() == pytest.approx(100 * hits / label.numel())


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 16))
def test_ignored_pixels_stay_in_the_denominator(ignored: int) -> None:
    logits = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    label = logits.argmax(1)
    rest = functional.cross_entropy(logits, label, reduction="none").flatten()[ignored:]
    label.view(-1)[:ignored] = 255
    assert weighted_cross_entropy(logits, label).item() == pytest.approx(rest.sum().item() / 16, abs=1e-6)
    assert pixel_accuracy(logits, label).item() == pytest.approx(100 * (16 - ignored) / 16)


def test_gradients_are_those_of_all_pixels() -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    label = torch.full((2, 4, 4), 255)
    weighted_cross_entropy(logits, label, torch.ones(2, 4, 4)).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert not logits.grad.any()
    assert not pixel_accuracy(logits, label).requires_grad


def test_logits_of_the_right_size_are_not_touched() -> None:
    logits = torch.randn(1, 2, 4, 4)
    assert resize_logits(logits, (4, 4)) is logits


def test_errors() -> None:
    logits = torch.zeros(2, 3, 4, 4)
    with pytest.raises(ValueError, match="weight: expected shape"):
        weighted_cross_entropy(logits, torch.zeros(2, 4, 4, dtype=torch.int64), torch.ones(2, 1, 4, 4))
    with pytest.raises(ValueError, match="expected logits"):
        pixel_accuracy(logits, torch.zeros(1, 4, 4, dtype=torch.int64))
