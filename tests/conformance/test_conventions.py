"""Conventions and class views pixel by pixel. Recorded values: conformance case ``metrics``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from adaptbench.data.taxonomy import CAMVID11, CITYSCAPES13, CITYSCAPES16
from adaptbench.errors import DataError
from adaptbench.evaluation.class_views import class_views, closed, others_ignored, selected
from adaptbench.evaluation.confusion import confusion_matrix
from adaptbench.evaluation.metrics import accuracy, iou, miou

from .conventions import CONVENTIONS, Areas, merged
from .open_confusion import open_confusion

Ids = npt.NDArray[np.uint8]
CLASSES = 5
ids = arrays.arrays(np.uint8, (6, 7), elements=st.sampled_from([*range(CLASSES), 9, 254, 255]))
proper = arrays.arrays(np.uint8, (6, 7), elements=st.integers(0, CLASSES - 1))


def naive(label: Ids, prediction: Ids, false_positive: bool) -> list[tuple[int, int]]:
    """Hits and union per class, from sets of pixels."""
    found = []
    counted = (label != 255) if false_positive else (label < CLASSES)
    for c in range(CLASSES):
        truth, guess = label == c, (prediction == c) & counted
        found.append((int((truth & guess).sum()), int((truth | guess).sum())))
    return found


@given(ids, ids)
@pytest.mark.parametrize(("name", "false_positive"), [("mmseg", True), ("cityscapes", False)])
def test_iou_of_maps_with_ids_that_are_no_class(
    name: str, false_positive: bool, label: Ids, prediction: Ids
) -> None:
    areas = CONVENTIONS[name].areas(open_confusion(label, prediction, CLASSES))
    assert list(zip(areas.hits.tolist(), areas.union.tolist(), strict=True)) == naive(
        label, prediction, false_positive
    )


@given(ids, proper)
def test_the_open_matrix_holds_the_closed_one(label: Ids, prediction: Ids) -> None:
    counts = open_confusion(label, prediction, CLASSES)
    assert counts.sum() == np.count_nonzero(label != 255)
    classes = np.where(label < CLASSES, label, 255).astype(np.uint8)
    np.testing.assert_array_equal(counts[:-1, :-1], confusion_matrix(classes, prediction, CLASSES))


@given(arrays.arrays(np.int64, (4, 4), elements=st.integers(0, 4)))
def test_on_proper_maps_all_conventions_agree_but_for_the_mean(matrix: Any) -> None:
    ours = [convention.areas(closed(matrix)) for convention in CONVENTIONS.values()]
    for areas in ours:
        np.testing.assert_array_equal(areas.iou, iou(matrix))
        np.testing.assert_equal(areas.accuracy, accuracy(matrix))
    np.testing.assert_equal(CONVENTIONS["adaptbench"].miou(closed(matrix)), miou(matrix))
    per_class = [0.0 if math.isnan(value) else value for value in iou(matrix)]
    assert CONVENTIONS["fada"].miou(closed(matrix)) == pytest.approx(sum(per_class) / 4)
    labelled = [value for value, row in zip(per_class, matrix.tolist(), strict=True) if sum(row)]
    expected = sum(labelled) / len(labelled) if labelled else math.nan
    np.testing.assert_allclose(CONVENTIONS["bdd"].miou(closed(matrix)), expected)


@pytest.mark.parametrize("name", ["adaptbench", "advent", "ehtdi"])
def test_predictions_of_no_class_fail_where_the_evaluator_does(name: str) -> None:
    counts = open_confusion(np.zeros((1, 2), np.uint8), np.array([[0, 255]]), 2)
    with pytest.raises(DataError, match="1 pixels of a prediction map"):
        CONVENTIONS[name].miou(counts)


@pytest.mark.parametrize("name", ["adaptbench", "bdd"])
def test_labels_of_no_class_fail_where_the_evaluator_does(name: str) -> None:
    counts = open_confusion(np.array([[0, 40]], np.uint8), np.zeros((1, 2), np.uint8), 2)
    with pytest.raises(DataError, match="1 pixels of a label map"):
        CONVENTIONS[name].miou(counts)


def test_a_class_that_is_never_hit_has_a_dice_but_no_f_score() -> None:
    areas = Areas(np.array([0]), np.array([3]), np.array([2]))
    assert areas.dice.tolist() == [0.0]
    assert np.isnan(areas.f_score[0])


@given(proper, proper, st.sets(st.integers(0, CLASSES - 1), min_size=1))
def test_ignoring_others_is_scoring_labels_without_them(
    label: Ids, prediction: Ids, chosen: set[int]
) -> None:
    kept = sorted(chosen)
    table = np.full(256, 255, np.uint8)
    table[kept] = range(len(kept))
    expected = open_confusion(table[label], table[prediction], len(kept))
    found = others_ignored(open_confusion(label, prediction, CLASSES), kept)
    np.testing.assert_array_equal(found, expected)


@given(proper, proper)
def test_merging_is_scoring_with_groups_as_classes(label: Ids, prediction: Ids) -> None:
    table = np.array([0, 1, 0, 255, 1], np.uint8)
    counts = merged(open_confusion(label, prediction, CLASSES), [(0, 2), (1, 4)])
    expected = open_confusion(table[label], table[prediction], 2)
    np.testing.assert_array_equal(counts[:-1], expected[:-1])


def test_selecting_keeps_the_false_positives_of_other_classes() -> None:
    counts = closed(np.array([[2, 0, 0], [0, 3, 1], [2, 0, 5]]))
    assert selected(counts, [0, 1]) == pytest.approx((2 / 4 + 3 / 4) / 2)
    assert CONVENTIONS["fada"].miou(others_ignored(counts, [0, 1])) == pytest.approx((1 + 3 / 4) / 2)


def test_views_say_of_how_many_classes() -> None:
    sets = (CITYSCAPES16, CITYSCAPES13, CAMVID11)
    names = {one.name: [view.name for view in class_views(one.name, len(one))] for one in sets}
    assert names == {
        "cityscapes16": [
            "16 classes",
            "16 classes, labelled or predicted",
            "16 classes, absent ones 0",
            "13 of 16 classes, select",
            "13 of 16 classes, ignore others",
        ],
        "cityscapes13": ["13 classes", "13 classes, labelled or predicted", "13 classes, absent ones 0"],
        "camvid11": ["11 classes", "11 classes, labelled or predicted", "11 classes, absent ones 0"],
    }
    scores = {view.name: view.miou(closed(np.eye(19, dtype=int))) for view in class_views("cityscapes19", 19)}
    assert len(scores) == 8
    assert scores.pop("16 of 19 classes, x19/16") == pytest.approx(19 / 16)
    assert set(scores.values()) == {1.0}
