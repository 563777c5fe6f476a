"""Calibration against loops over pixels. Recorded values: conformance case ``metrics``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from adaptbench.evaluation.calibration import calibration_counts


def example(seed: int, size: tuple[int, int] = (5, 6)) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    logits = 3 * rng.standard_normal((4, *size))
    share = np.exp(logits) / np.exp(logits).sum(axis=0)
    label = rng.integers(0, 4, size).astype(np.uint8)
    label[rng.random(size) < 0.2] = 255
    return share.astype(np.float32), label


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_scores_are_those_of_a_loop_over_pixels(bins: int) -> None:
    probability, label = example(bins)
    members: dict[int, list[tuple[bool, float]]] = {}
    log_loss = brier = 0.0
    for (y, x), truth in np.ndenumerate(label):
        if truth == 255:
            continue
        shares = [float(value) for value in probability[:, y, x]]
        confidence = max(shares)
        members.setdefault(math.ceil(confidence * bins) - 1, []).append(
            (shares.index(confidence) == truth, confidence)
        )
        log_loss -= math.log(shares[truth])
        brier += sum((share - (c == truth)) ** 2 for c, share in enumerate(shares))
    counts = calibration_counts(probability, label, bins)
    gaps = {
        place: abs(np.mean([right for right, _ in pixels]) - np.mean([share for _, share in pixels]))
        for place, pixels in members.items()
    }
    total = np.count_nonzero(label != 255)
    assert counts.total == total
    assert counts.ece == pytest.approx(sum(len(members[i]) * gap for i, gap in gaps.items()) / total)
    assert counts.mce == pytest.approx(max(gaps.values()))
    assert counts.log_loss == pytest.approx(log_loss)
    assert counts.brier == pytest.approx(brier)


def test_images_are_pooled_before_anything_is_divided() -> None:
    first, second = example(1), example(2, (7, 6))
    summed = calibration_counts(*first) + calibration_counts(*second)
    pooled = calibration_counts(*(np.concatenate(both, axis=-2) for both in zip(first, second, strict=True)))
    np.testing.assert_array_equal(summed.pixels, pooled.pixels)
    np.testing.assert_array_equal(summed.hits, pooled.hits)
    assert summed.ece == pytest.approx(pooled.ece)
    assert (summed.log_loss, summed.brier) == pytest.approx((pooled.log_loss, pooled.brier))


def test_certain_predictions_are_in_the_last_bin_and_a_probability_of_0_costs_no_more_than_1e_12() -> None:
    probability = np.array([[[1.0]], [[0.0]]], np.float32)
    counts = calibration_counts(probability, np.array([[1]], np.uint8))
    assert counts.pixels.tolist() == [0] * 14 + [1]
    assert counts.log_loss == pytest.approx(-math.log(1e-12))
    assert (counts.ece, counts.brier) == (1.0, 2.0)


def test_nothing_labelled_has_no_error() -> None:
    counts = calibration_counts(np.ones((1, 2, 2), np.float32), np.full((2, 2), 255, np.uint8))
    assert all(
        math.isnan(value) for value in (counts.ece, counts.mce, counts.accuracy, counts.mean_confidence)
    )
