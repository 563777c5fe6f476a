from __future__ import annotations

import numpy as np
import pytest
import torch

from adaptbench.evaluation.class_centers import class_center_distance, class_moments

FEATURES = torch.tensor([[[[0.0, 2.0, 10.0, 10.0, 5.0, 7.0]], [[0.0, 0.0, 3.0, -3.0, 40.0, 70.0]]]])
LABEL = torch.tensor([[[0, 0, 1, 1, 3, 255]]])


def test_a_class_is_compared_with_every_other_that_has_pixels() -> None:
    """Centers (1, 0), (10, 0) and (5, 40); class 2 has no pixel."""
    distance = class_center_distance(class_moments(FEATURES, LABEL, 4))
    squared = {(0, 1): 81.0, (0, 3): 16.0 + 1600.0, (1, 3): 25.0 + 1600.0}
    assert distance[0] == pytest.approx((1 / squared[0, 1] + 1 / squared[0, 3]) / 2)
    assert distance[1] == pytest.approx((9 / squared[0, 1] + 9 / squared[1, 3]) / 2)
    assert np.isnan(distance[2])
    assert distance[3] == pytest.approx(0.0)


def test_moments_of_parts_add_up() -> None:
    torch.manual_seed(0)
    features, label = torch.randn(3, 5, 4, 6), torch.randint(0, 4, (3, 4, 6))
    whole = class_moments(features, label, 4)
    parts = class_moments(features[:1], label[:1], 4) + class_moments(features[1:], label[1:], 4)
    np.testing.assert_allclose(parts.total, whole.total)
    np.testing.assert_allclose(class_center_distance(parts), class_center_distance(whole))


def test_neither_scale_nor_shift_of_the_features_matters() -> None:
    torch.manual_seed(0)
    features, label = torch.randn(1, 5, 4, 6), torch.randint(0, 3, (1, 4, 6))
    distance = class_center_distance(class_moments(features, label, 3))
    moved = class_center_distance(class_moments(7 * features + 2, label, 3))
    np.testing.assert_allclose(moved, distance, rtol=1e-5)


def test_a_single_class_has_no_distance() -> None:
    assert np.isnan(class_center_distance(class_moments(FEATURES, torch.zeros_like(LABEL), 2))).all()
