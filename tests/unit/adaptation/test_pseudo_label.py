"""Pseudo labels against a pixel-by-pixel version."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adaptbench.adaptation.pseudo_label import pseudo_label, restrict


def naive(logits: Tensor, threshold: float) -> tuple[list[int], float]:
    labels, confident = [], 0
    for scores in logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1]).double().tolist():
        total = sum(math.exp(score) for score in scores)
        labels.append(scores.index(max(scores)))
        confident += math.exp(max(scores)) / total >= threshold
    return labels, confident / len(labels)


@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (1, 5, 3, 4), (2, 19, 8, 5), (3, 7, 2, 9)])
@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.75, 1.0])
def test_equals_the_naive_version(shape: tuple[int, ...], threshold: float) -> None:
    logits = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))
    labels, share = naive(logits, threshold)
    label, weight, confident = pseudo_label(logits, threshold)
    assert label.flatten().tolist() == labels
    assert label.dtype == torch.int64
    assert weight.dtype == torch.float32
    assert torch.equal(weight, torch.full((shape[0], *shape[2:]), share))
    assert confident.shape == label.shape
    assert confident.dtype == torch.bool
    assert int(confident.sum()) == round(share * label.numel())


def test_half_precision_does_not_round_probabilities_to_the_threshold() -> None:
    logits = torch.tensor([7.0, 0.0], dtype=torch.bfloat16).view(1, 2, 1, 1)
    assert pseudo_label(logits, 0.9995).weight.item() == 0.0


def test_no_gradient_flows_into_the_teacher() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    assert not pseudo_label(logits, 0.5).weight.requires_grad


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 20), st.integers(0, 20))
def test_ignored_rows(top: int, bottom: int) -> None:
    weight = torch.full((2, 12, 3), 0.25)
    restricted = restrict(weight, ignore_top=top, ignore_bottom=bottom)
    for row in range(12):
        kept = row >= top and row < 12 - bottom
        assert bool((restricted[:, row] == (0.25 if kept else 0.0)).all())
    assert bool((weight == 0.25).all())


def test_padding_rules() -> None:
    weight = torch.full((1, 1, 3), 0.5)
    mask = torch.tensor([[[[0, 1, 255]]]], dtype=torch.uint8)
    assert restrict(weight, mask).tolist() == [[[0.0, 0.5, 127.5]]]
    assert restrict(weight, mask, padding="zero").tolist() == [[[0.0, 0.5, 0.0]]]


def test_errors() -> None:
    weight = torch.ones(1, 4, 4)
    with pytest.raises(ValueError, match="B, C, H, W"):
        pseudo_label(torch.zeros(3, 4, 4), 0.5)
    with pytest.raises(ValueError, match="threshold"):
        pseudo_label(torch.zeros(1, 3, 4, 4), 1.5)
    with pytest.raises(ValueError, match="exclude each other"):
        restrict(weight, torch.ones(1, 4, 4), ignore_top=1)
    with pytest.raises(ValueError, match="valid_mask: expected shape"):
        restrict(weight, torch.ones(1, 4, 5))
    with pytest.raises(ValueError, match="0 or more"):
        restrict(weight, ignore_bottom=-1)
    with pytest.raises(ValueError, match="padding"):
        restrict(weight, torch.ones(1, 4, 4), padding="sane")  # type: ignore[arg-type]


def test_a_teacher_that_is_not_finite_makes_the_loss_no_number() -> None:
    """Else its confidence would be below the threshold, and no pseudo-label would count, in silence."""
    logits = torch.zeros(2, 3, 2, 2)
    logits[1, 2, 0, 1] = torch.nan
    assert bool(pseudo_label(logits, 0.5).weight.isnan().all())
