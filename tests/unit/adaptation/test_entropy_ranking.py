"""Scores of single images, rare classes of both class sets, and the order of equal scores."""

from __future__ import annotations

import math

import pytest
import torch

from adaptbench.adaptation.entropy_ranking import (
    easy_count,
    ranked,
    rare_class_factor,
    rare_classes,
    uncertainty,
)
from adaptbench.data.taxonomy import CAMVID11, CITYSCAPES19


def test_uniform_is_one_over_the_number_of_classes_and_certain_is_0() -> None:
    assert uncertainty(torch.zeros(1, 19, 3, 5)) == pytest.approx(1 / 19)
    certain = torch.zeros(1, 4, 2, 2)
    certain[:, 1] = 200
    assert uncertainty(certain) == 0.0


def test_naive_mean() -> None:
    logits = torch.randn(1, 3, 2, 4, generator=torch.Generator().manual_seed(0))
    p = logits.softmax(1).flatten().tolist()
    expected = sum(-value * math.log(value) / math.log(3) for value in p) / len(p)
    assert uncertainty(logits) == pytest.approx(expected, rel=1e-5)


def test_rare_classes_by_name() -> None:
    assert sorted(rare_classes(CITYSCAPES19)) == [3, 4, 5, 6, 7, 9, 12, 14, 15, 16, 17]
    assert {CAMVID11.classes[index] for index in rare_classes(CAMVID11)} == {"pole", "sign", "fence"}


@pytest.mark.parametrize(
    ("label", "rare", "expected"),
    [([0, 255], {3, 4}, 1.5), ([3, 0], {3, 4}, 1.0), ([3, 4], {3, 4}, 0.5), ([1], set(), 1.0)],
)
def test_more_rare_classes_make_a_image_easier(label: list[int], rare: set[int], expected: float) -> None:
    assert rare_class_factor(torch.tensor([label], dtype=torch.uint8), rare) == expected


def test_equal_scores_keep_their_order() -> None:
    assert ranked({"c": 2.0, "b": 1.0, "d": 2.0, "a": 1.0}) == ["b", "a", "c", "d"]


@pytest.mark.parametrize(("images", "share", "expected"), [(2975, 0.67, 1993), (3, 0.67, 2), (100, 0.57, 56)])
def test_the_product_is_cut_off_as_it_is_in_floating_point(images: int, share: float, expected: int) -> None:
    assert easy_count(images, share) == expected
