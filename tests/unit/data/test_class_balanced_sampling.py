from __future__ import annotations

import numpy as np
import pytest

from adaptbench.data.class_balanced_sampling import SUB_EPOCH, balanced_picks, class_weights

SHOWS = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0]], dtype=bool)
QUEUES = [[0, 1, 2, 3], [3], []]


def test_a_rarely_shown_class_weighs_more_and_an_absent_one_nothing() -> None:
    weights = class_weights(np.array([90, 10, 0]), np.array([True, True, False]))
    assert weights[1] > weights[0] > weights[2] == 0
    assert weights.sum() == pytest.approx(1.0)


def test_rare_classes_are_shown_more_often_than_they_are_there() -> None:
    picks = balanced_picks(SHOWS, QUEUES, 100, np.random.default_rng(0))
    assert len(picks) == SUB_EPOCH
    assert np.mean(picks == 3) > 0.5
    assert set(picks.tolist()) == {0, 1, 2, 3}


def test_nothing_to_balance_is_an_error() -> None:
    with pytest.raises(ValueError, match="No image shows any class"):
        balanced_picks(np.zeros((2, 3), dtype=bool), [[], [], []], 10, np.random.default_rng(0))
