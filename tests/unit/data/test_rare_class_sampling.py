"""Rare class sampling against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptbench.data.rare_class_sampling import (
    accept_crop,
    class_probabilities,
    class_totals,
    count_classes,
    eligible_files,
    rare_class_sampler,
)

FILES = [{0: 900, 3: 50, 5: 188}, {0: 700, 5: 189}, {3: 50, 0: 188, 7: 400}]


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("number", [1, 2, 7, 19])
def test_probabilities_equal_the_naive_version(number: int, temperature: float) -> None:
    totals = {c: int(n) for c, n in enumerate(np.random.default_rng(number).integers(1, 10_000, number))}
    classes, probabilities = class_probabilities(totals, temperature)
    order = sorted(totals, key=lambda c: totals[c])
    scores = [math.exp((1 - totals[c] / sum(totals.values()) - 1) / temperature) for c in order]
    assert classes.tolist() == order
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, [s / sum(scores) for s in scores], atol=2e-5)


def test_equal_totals_keep_the_order_in_which_classes_appear() -> None:
    totals = class_totals([{4: 5, 2: 5}, {9: 5, 1: 2}])
    assert list(totals) == [4, 2, 9, 1]
    assert class_probabilities(totals, 0.01).classes.tolist() == [1, 4, 2, 9]


def test_balanced_classes_are_drawn_uniformly() -> None:
    np.testing.assert_allclose(class_probabilities({0: 7, 1: 7, 2: 7}, 0.01).probabilities, 1 / 3)


@pytest.mark.parametrize(("class_id", "expected"), [(0, [0, 1]), (5, [1]), (7, [2]), (3, []), (18, [])])
def test_eligible_files_have_strictly_more_pixels(class_id: int, expected: list[int]) -> None:
    assert eligible_files(FILES, class_id, 188).tolist() == expected


def test_a_class_without_eligible_file() -> None:
    with pytest.raises(ValueError, match="more than 188 pixels of class 3"):
        rare_class_sampler(FILES, 0.1, 188)
    sampler = rare_class_sampler(FILES, 0.1, 188, missing="drop")
    everything = class_probabilities(class_totals(FILES), 0.1)
    kept = everything.classes != 3
    assert sampler.classes.classes.tolist() == everything.classes[kept].tolist()
    expected = everything.probabilities[kept] / everything.probabilities[kept].sum()
    np.testing.assert_allclose(sampler.classes.probabilities, expected)
    with pytest.raises(ValueError, match="no file has more than"):
        rare_class_sampler(FILES, 0.1, 10_000, missing="drop")


def test_draws_follow_the_probabilities_and_only_show_eligible_files() -> None:
    sampler = rare_class_sampler(FILES, 0.5, 188, missing="drop")
    generator = np.random.default_rng(0)
    draws = [sampler.draw(generator) for _ in range(4000)]
    for class_id, probability in zip(*sampler.classes, strict=True):
        share = np.mean([draw.class_id == class_id for draw in draws])
        assert abs(share - probability) < 0.03
    assert all(FILES[draw.file][draw.class_id] > 188 for draw in draws)
    assert {draw.file for draw in draws if draw.class_id == 0} == {0, 1}


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(0, 6), min_size=11, max_size=11),
    st.sampled_from([0.0, 0.5, 1.0, 2.0]),
)
def test_crops_equal_the_naive_version(pixels: list[int], ratio: float) -> None:
    used = 10 if ratio > 0 else 0
    for index in range(used):
        if pixels[index] > 3 * ratio:
            used = index
            break
    crops, counted = iter(range(11)), []

    def count(crop: int) -> int:
        counted.append(crop)
        return pixels[crop]

    accepted = accept_crop(lambda: next(crops), count, 3, ratio)
    assert accepted == (used, used + 1)
    assert counted == list(range(min(used + 1, 10)) if ratio > 0 else [])


def test_counting_leaves_ignored_pixels_out() -> None:
    label = np.array([[3, 3, 255], [0, 3, 255]], dtype=np.uint8)
    assert count_classes(label) == {0: 1, 3: 3}


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="temperature"):
        class_probabilities({0: 1}, 0.0)
    with pytest.raises(ValueError, match="at least one labelled pixel"):
        class_probabilities({}, 0.1)
    with pytest.raises(ValueError, match="'error' or 'drop'"):
        rare_class_sampler(FILES, 0.1, 3, missing="skip")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="min_crop_ratio"):
        accept_crop(lambda: 0, lambda crop: 0, 3000, -0.5)
