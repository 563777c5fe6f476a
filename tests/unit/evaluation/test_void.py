"""Void pixels of the truth, ignored or counted: one more row and column that is in no mean, whoever takes it."""

from __future__ import annotations

import numpy as np
import pytest

from adaptbench.data.taxonomy import CAMVID11
from adaptbench.errors import DataError
from adaptbench.evaluation.class_views import class_views, closed
from adaptbench.evaluation.confusion import confusion_with_void
from adaptbench.evaluation.metrics import mean_class_accuracy, per_image_miou, score
from adaptbench.records.average import Average, miou_only
from adaptbench.records.confusion_files import Matrix, row_names
from adaptbench.records.record import Score
from adaptbench.statistics.tallies import tally

RNG = np.random.default_rng(0)
TRUTH = RNG.choice([*range(11), 255], (40, 50)).astype(np.uint8)
PREDICTED = np.where(RNG.random(TRUTH.shape) < 0.6, TRUTH, RNG.choice([*range(11), 255], TRUTH.shape))


def matrix(ignore: str) -> Matrix:
    return confusion_with_void(TRUTH, PREDICTED, 11, "count" if ignore == "count" else "drop")


def by_hand(ignore: str) -> list[float]:
    """IoU of every class, from the pixels."""
    counted = np.ones_like(TRUTH, bool) if ignore == "count" else TRUTH != 255
    hits = [np.sum((c == TRUTH) & (c == PREDICTED)) for c in range(11)]
    unions = [np.sum(((c == TRUTH) | (c == PREDICTED)) & counted) for c in range(11)]
    return [100 * hit / union for hit, union in zip(hits, unions, strict=True)]


def scored(ignore: str) -> Score:
    return score(matrix(ignore), CAMVID11, split="camvid/test", provenance="official", images=1)


@pytest.mark.parametrize("ignore", ["drop", "count"])
def test_every_mean_is_over_the_classes_alone(ignore: str) -> None:
    found, expected = scored(ignore), by_hand(ignore)
    assert list(found.iou) == list(CAMVID11.classes)
    assert list(found.iou.values()) == pytest.approx(expected)
    assert found.miou == pytest.approx(np.mean(expected))
    assert miou_only(tally(matrix(ignore)[None], 11)).tolist() == [[pytest.approx(found.miou)]]
    assert 100 * per_image_miou(matrix(ignore)[None], 11)[0] == pytest.approx(found.miou)
    assert 100 * Average().miou(matrix(ignore), 11) == pytest.approx(found.miou)


def test_accuracies_are_of_labelled_pixels_whatever_void_is() -> None:
    labelled = TRUTH != 255
    assert scored("drop").accuracy == scored("count").accuracy
    assert scored("count").accuracy == pytest.approx(100 * np.mean(PREDICTED[labelled] == TRUTH[labelled]))
    recalls = [np.mean(PREDICTED[c == TRUTH] == c) for c in range(11)]
    assert mean_class_accuracy(matrix("count")[:11]) == pytest.approx(np.mean(recalls))
    assert mean_class_accuracy(matrix("count")[:11], (0, 3)) == pytest.approx((recalls[0] + recalls[3]) / 2)


def test_both_conventions_of_the_same_predictions_are_views() -> None:
    views = {view.name: view.miou for view in class_views("camvid11", 11, void_counts=True)}
    total = closed(matrix("count"), 11)
    assert 100 * views["11 classes"](total) == pytest.approx(scored("drop").miou)
    assert 100 * views["11 classes, absent ones 0, void counted"](total) == pytest.approx(
        scored("count").miou
    )
    assert not any("void" in view.name for view in class_views("camvid11", 11))


def test_a_matrix_without_void_gets_an_empty_row_and_column() -> None:
    plain = matrix("drop")[:11, :11]
    assert closed(plain, 11).shape == closed(plain).shape == (12, 12)
    assert closed(matrix("count"), 11).tolist() == matrix("count").tolist()


def test_names_of_rows() -> None:
    assert row_names(matrix("drop"), CAMVID11.classes) == (*CAMVID11.classes, "void")
    assert row_names(matrix("drop")[:11, :11], CAMVID11.classes) == CAMVID11.classes


def test_void_alone_is_nothing_to_score() -> None:
    only_void = np.zeros((12, 12), np.int64)
    only_void[11, 3] = 5
    with pytest.raises(DataError, match="not one labelled pixel"):
        score(only_void, CAMVID11, split="camvid/test", provenance="official", images=1)
    with pytest.raises(DataError, match=r"a matrix of shape \(13, 13\)"):
        score(np.ones((13, 13), np.int64), CAMVID11, split="camvid/test", provenance="official", images=1)
