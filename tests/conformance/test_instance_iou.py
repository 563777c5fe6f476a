"""Instance IoU. Recorded values: conformance case ``metrics``."""

from __future__ import annotations

import numpy as np
import pytest

from .instance_iou import CATEGORIES, CLASSES, MEAN_SIZE, instance_counts

CAR, PERSON, ROAD, CARAVAN = 26, 24, 7, 29


def test_objects_count_alike_whatever_their_size() -> None:
    """One object of 4 pixels is hit, one of 2 is missed; of the road, one pixel is taken for a car."""
    instances = np.array([[26001, 26001, 26001, 26001, 26002, 26002, 7, 7]])
    label = np.array([[CAR] * 6 + [ROAD] * 2], np.uint8)
    prediction = np.array([[CAR] * 4 + [ROAD] * 2 + [CAR, ROAD]], np.uint8)
    counts = instance_counts(instances, label, prediction, list(CLASSES.values()))
    car = list(CLASSES).index("car")
    assert counts.objects[car] == 2
    assert counts.iou[car] == pytest.approx(MEAN_SIZE[CAR] / (2 * MEAN_SIZE[CAR] + 1))
    assert np.isnan(np.delete(counts.iou, car)).all()


def test_a_category_is_hit_by_all_its_classes_also_those_not_scored() -> None:
    instances = np.array([[26001, 26001, 24001]])
    label = np.array([[CAR, CAR, PERSON]], np.uint8)
    prediction = np.array([[CARAVAN, 33, CARAVAN]], np.uint8)
    counts = instance_counts(instances, label, prediction, list(CATEGORIES.values()))
    assert dict(zip(CATEGORIES, counts.iou.tolist(), strict=True)) == {
        "human": 0.0,
        "vehicle": pytest.approx(MEAN_SIZE[CAR] / (MEAN_SIZE[CAR] + 1)),
    }


def test_objects_of_classes_that_are_not_scored_do_not_count() -> None:
    instances = np.full((2, 2), 29001)
    found = instance_counts(
        instances, np.full((2, 2), CARAVAN, np.uint8), np.full((2, 2), CAR, np.uint8), list(CLASSES.values())
    )
    assert not found.objects.any()
    assert not found.false_positives.any()
