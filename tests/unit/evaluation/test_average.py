"""Over which classes a mean is, and what absent ones are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from adaptbench.data.taxonomy import CITYSCAPES13OF16, CITYSCAPES16OF19, CITYSCAPES19
from adaptbench.evaluation.class_views import closed, mean_of_all, selected
from adaptbench.evaluation.metrics import score
from adaptbench.records.average import Average

ABSENT = math.nan


@pytest.mark.parametrize(
    ("average", "expected"),
    [
        (Average(), (0.2 + 0.4 + 0.9) / 3),
        (Average(absent="zero"), (0.2 + 0.4 + 0.9) / 4),
        (Average((0, 1)), 0.2),
        (Average((0, 1), "zero"), 0.1),
    ],
)
def test_some_or_all_classes_count(average: Average, expected: float) -> None:
    assert average.mean(np.array([0.2, ABSENT, 0.4, 0.9])) == pytest.approx(expected)


def test_leading_axes_stay() -> None:
    scores = np.array([[0.2, 0.4], [ABSENT, 0.6], [ABSENT, ABSENT]])
    np.testing.assert_allclose(Average().mean(scores), [0.3, 0.6, ABSENT])
    np.testing.assert_allclose(Average(absent="zero").mean(scores), [0.3, 0.3, 0.0])


def test_it_is_read_from_what_a_ranking_hash_was_made_of() -> None:
    assert Average.of({"class_set": "cityscapes19", "absent_classes": "labelled"}) == Average()
    assert Average.of({"class_set": "cityscapes19"}) == Average(absent="skip")
    averaged = CITYSCAPES13OF16.averaged
    assert Average.of({"class_set": "cityscapes13of16", "absent_classes": "zero"}) == Average(
        averaged, "zero"
    )
    assert Average.of({"class_set": "polyps", "absent_classes": "labelled"}) == Average()


def test_a_score_averages_what_its_class_set_says() -> None:
    matrix = np.random.default_rng(0).integers(0, 50, (19, 19))
    matrix[:, 16] = matrix[16] = matrix[:, 4] = matrix[4] = 0  # train and fence are absent
    facts = {"split": "cityscapes/val", "images": 1, "provenance": "official"}
    found = score(matrix, CITYSCAPES16OF19, **facts)  # type: ignore[arg-type]
    assert (found.class_set, list(found.iou)) == ("cityscapes16of19", list(CITYSCAPES19.classes))
    assert found.miou == pytest.approx(100 * selected(closed(matrix), CITYSCAPES16OF19.averaged or ()))
    zeros = score(matrix, CITYSCAPES19, absent="zero", **facts)  # type: ignore[arg-type]
    assert zeros.miou == pytest.approx(100 * mean_of_all(closed(matrix)))
