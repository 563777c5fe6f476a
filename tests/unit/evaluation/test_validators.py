"""Validators: naive re-implementations, known values, and what they may depend on."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from adaptbench.evaluation import validators
from adaptbench.evaluation.validators import (
    agreement,
    certainty,
    information,
    label_free_scores,
    soft_neighbourhood_density,
)


def predictions(pixels: int, classes: int, seed: int = 0, scale: float = 3.0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(pixels, classes, generator=random)).softmax(dim=1)


def naive_density(probability: Tensor, temperature: float) -> float:
    rows = [[float(x) for x in row] for row in probability.double()]
    total = 0.0
    for i, row in enumerate(rows):
        lengths = [math.sqrt(sum(x * x for x in other)) for other in rows]
        close = [
            math.exp(
                sum(a * b for a, b in zip(row, rows[j], strict=True)) / lengths[i] / lengths[j] / temperature
            )
            for j in range(len(rows))
            if j != i
        ]
        total -= sum(x / sum(close) * math.log(x / sum(close)) for x in close)
    return total / len(rows)


@pytest.mark.parametrize("classes", [2, 11, 19])
@pytest.mark.parametrize("pixels", [2, 3, 17])
@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_density_equals_the_definition(pixels: int, classes: int, temperature: float) -> None:
    probability = predictions(pixels, classes)
    found = soft_neighbourhood_density(probability, temperature)
    assert found == pytest.approx(naive_density(probability, temperature), abs=1e-5)


def test_density_does_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    probability = predictions(50, 5)
    whole = soft_neighbourhood_density(probability)
    monkeypatch.setattr(validators, "_CHUNK", 7)
    assert soft_neighbourhood_density(probability) == pytest.approx(whole, rel=1e-6)


def test_density_of_equal_pixels_is_that_of_a_uniform_choice() -> None:
    assert soft_neighbourhood_density(torch.full((9, 4), 0.25)) == pytest.approx(math.log(8), abs=1e-5)


def test_known_values() -> None:
    certain = torch.eye(4)
    uniform = torch.full((6, 4), 0.25)
    assert certainty(certain) == 0.0 and information(certain) == pytest.approx(math.log(4))
    assert certainty(uniform) == pytest.approx(-math.log(4)) and information(uniform) == pytest.approx(0.0)
    one_class = torch.eye(4)[[2, 2, 2]]
    assert certainty(one_class) == 0.0 and information(one_class) == 0.0


def test_information_is_the_mutual_information() -> None:
    probability = predictions(40, 6).double()
    joint = probability / len(probability)
    independent = joint.sum(0, keepdim=True) * joint.sum(1, keepdim=True)
    expected = float((joint * (joint / independent).log()).sum())
    assert information(probability) == pytest.approx(expected, rel=1e-9)


def test_agreement_is_a_share() -> None:
    student = torch.eye(3)[[0, 1, 2, 2]]
    teacher = torch.eye(3)[[0, 1, 1, 0]]
    assert agreement(student, teacher) == 0.5 and agreement(student, student) == 1.0


@pytest.mark.parametrize("pixels", [64, 1500])
def test_extreme_logits_give_finite_scores(pixels: int) -> None:
    probability = (1e4 * torch.randn(pixels, 19, generator=torch.Generator().manual_seed(1))).softmax(dim=1)
    found = label_free_scores([probability, probability.flip(0)], [probability, probability])
    assert set(found) == {"entropy", "infomax", "snd", "agreement"}
    assert all(map(math.isfinite, found.values()))


def test_without_a_teacher_there_is_no_agreement() -> None:
    assert set(label_free_scores([predictions(10, 3)])) == {"entropy", "infomax", "snd"}


def test_neighbours_are_pixels_of_the_same_image() -> None:
    images = [predictions(20, 5, seed) for seed in (0, 1)]
    expected = sum(map(soft_neighbourhood_density, images)) / 2
    assert label_free_scores(images)["snd"] == pytest.approx(expected)
