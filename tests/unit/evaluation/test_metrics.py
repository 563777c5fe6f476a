from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from adaptbench.data.taxonomy import CAMVID11, CITYSCAPES19
from adaptbench.errors import DataError
from adaptbench.evaluation.metrics import accuracy, iou, miou, score

Matrix = npt.NDArray[np.int64]

matrices = st.integers(1, 8).flatmap(
    lambda n: arrays.arrays(np.int64, (n, n), elements=st.integers(0, 5) | st.integers(0, 2**40))
)


@given(matrices)
def test_iou_is_intersection_over_union_of_each_class(matrix: Matrix) -> None:
    counts = matrix.tolist()
    for c, value in enumerate(iou(matrix).tolist()):
        union = sum(counts[c]) + sum(row[c] for row in counts) - counts[c][c]
        assert math.isnan(value) if union == 0 else value == counts[c][c] / union


@given(matrices)
def test_mean_and_accuracy_stay_in_range(matrix: Matrix) -> None:
    labelled = matrix.sum(axis=1) > 0
    present = iou(matrix)[labelled].tolist()
    if not present:
        assert math.isnan(miou(matrix))
        assert math.isnan(accuracy(matrix))
        return
    assert miou(matrix) == pytest.approx(sum(present) / len(present), abs=1e-12)
    assert accuracy(matrix) == sum(matrix.diagonal().tolist()) / sum(matrix.ravel().tolist())


@given(matrices, st.randoms(use_true_random=False))
def test_the_order_of_the_classes_does_not_matter(matrix: Matrix, random: Any) -> None:
    order = random.sample(range(len(matrix)), len(matrix))
    np.testing.assert_array_equal(iou(matrix[np.ix_(order, order)]), iou(matrix)[order])


def test_the_matrix_may_be_uint32_without_wrapping_around() -> None:
    matrix = np.array([[2**31, 2**31], [2**31, 2**31]], np.uint32)
    np.testing.assert_allclose(iou(matrix), [1 / 3, 1 / 3])
    assert accuracy(matrix) == 0.5


def test_a_record_holds_percent_and_none_for_absent_classes() -> None:
    matrix = np.zeros((11, 11), np.int64)
    matrix[0, 0], matrix[0, 1], matrix[1, 1] = 3, 1, 4
    entry = score(matrix, CAMVID11, split="camvid/val", provenance="official", images=2)
    assert (entry.split, entry.provenance, entry.class_set, entry.images) == (
        "camvid/val",
        "official",
        "camvid11",
        2,
    )
    assert list(entry.iou) == list(CAMVID11.classes)
    assert (entry.iou["sky"], entry.iou["building"], entry.iou["pole"]) == (75.0, 80.0, None)
    assert (entry.miou, entry.accuracy) == (77.5, 87.5)


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(DataError, match="not one labelled pixel in 5 images"):
        score(np.zeros((19, 19), np.int64), CITYSCAPES19, split="x/y", provenance="generated", images=5)


def test_the_matrix_must_fit_the_class_set() -> None:
    with pytest.raises(DataError, match=r"shape \(11, 11\).*19 classes"):
        score(np.ones((11, 11), np.int64), CITYSCAPES19, split="x/y", provenance="generated", images=5)
