"""Naive sums over classes and pixels on a grid of sizes, and the two ends of the scale."""

from __future__ import annotations

import math

import pytest
import torch

from adaptbench.adaptation.entropy import entropy_loss, self_information


@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (2, 3, 4, 5), (1, 19, 7, 3)])
def test_naive_sums(shape: tuple[int, ...]) -> None:
    probability = torch.randn(shape, generator=torch.Generator().manual_seed(0)).softmax(1)
    classes = shape[1]
    information = self_information(probability)
    total = 0.0
    for index in torch.cartesian_prod(*(torch.arange(n) for n in shape)).tolist():
        p = float(probability[tuple(index)])
        expected = -p * math.log(p) / math.log(classes)
        assert float(information[tuple(index)]) == pytest.approx(expected, abs=1e-6)
        total += expected
    pixels = shape[0] * shape[2] * shape[3]
    assert float(entropy_loss(probability)) == pytest.approx(total / pixels, abs=1e-6)


def test_certain_is_0_and_uniform_is_1() -> None:
    certain = torch.zeros(1, 5, 2, 2)
    certain[:, 3] = 1
    assert float(entropy_loss(certain)) == 0.0
    assert float(entropy_loss(torch.full((1, 5, 2, 2), 0.2))) == pytest.approx(1.0)


def test_the_gradient_at_0_is_finite() -> None:
    probability = torch.zeros(1, 3, 1, 1)
    probability[:, 0] = 1
    probability.requires_grad_()
    entropy_loss(probability).backward()
    assert probability.grad is not None and bool(torch.isfinite(probability.grad).all())


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 1, 2, 2)])
def test_wrong_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected \\(B, C, H, W\\) with 2 classes"):
        self_information(torch.ones(shape))
