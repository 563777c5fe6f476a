"""Scores near boundaries: recorded values, and pixel by pixel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from adaptbench.evaluation.boundary import (
    Mask,
    boundary_overlap,
    boundary_width,
    contour_match,
    distance_to,
    inner_boundary,
    label_boundary,
    trimap_confusion,
)
from adaptbench.evaluation.metrics import accuracy, iou, miou

RECORDED = Path(__file__).parent / "recorded"
CLASSES = 19


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RECORDED / "boundary.json").read_text())
    return content


@pytest.fixture(scope="module")
def maps() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    with np.load(RECORDED / "boundary.npz") as arrays:
        return arrays["gt"], arrays["pred"]


@pytest.mark.parametrize("width", [1, 2, 3])
def test_recorded_boundary_iou(facts: dict[str, Any], maps: Any, width: int) -> None:
    recorded = facts["boundary_iou_by_d"][str(width)]
    overlap = boundary_overlap(*maps, CLASSES, width)
    for c, expected in recorded["per_class"].items():
        assert overlap.intersection[int(c)] == expected["intersection"]
        assert overlap.union[int(c)] == expected["union"]
        assert overlap.iou[int(c)] == pytest.approx(expected["boundary_iou"], abs=1e-9)
    present = [overlap.iou[c] for c in facts["classes"]]
    assert np.mean(present) == pytest.approx(recorded["mean_over_classes_present"], abs=1e-9)


def test_recorded_width(facts: dict[str, Any]) -> None:
    assert boundary_width(tuple(facts["image_size_hw"]), facts["dilation_ratio"]) == facts["d_used"]
    assert boundary_width((4, 4)) == 1


def test_recorded_trimap(facts: dict[str, Any], maps: Any) -> None:
    recorded = {int(radius): expected for radius, expected in facts["trimap_by_radius"].items()}
    bands = trimap_confusion(*maps, CLASSES, list(recorded))
    for matrix, expected in zip(bands, recorded.values(), strict=True):
        assert matrix.sum() == expected["n_pixels"]
        assert accuracy(matrix) == pytest.approx(expected["accuracy"], abs=1e-9)
        np.testing.assert_allclose(iou(matrix), expected["IoU"], atol=1e-9)
        assert miou(matrix) == pytest.approx(expected["mIoU_nanmean"], abs=1e-9)


@pytest.mark.parametrize("name", ["theta_0.0075_diag", "theta_2px"])
def test_recorded_boundary_f(facts: dict[str, Any], maps: Any, name: str) -> None:
    recorded = facts["boundary_f"][name]
    scores = []
    for c, expected in recorded["per_class"].items():
        match = contour_match(*maps, int(c), recorded["theta"])
        assert (match.found, match.true) == (expected["n_pred"], expected["n_gt"])
        assert match.precision == pytest.approx(expected["precision"], abs=1e-9)
        assert match.recall == pytest.approx(expected["recall"], abs=1e-9)
        assert match.f_score == pytest.approx(expected["f1"], abs=1e-9)
        scores.append(match.f_score)
    assert np.mean(scores) == pytest.approx(recorded["mean_f1"], abs=1e-9)


def naive_inner(mask: Mask, width: int) -> Mask:
    padded = np.pad(mask, width)
    result = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        result[y, x] = not padded[y : y + 2 * width + 1, x : x + 2 * width + 1].all()
    return result


@pytest.mark.parametrize("width", [1, 2, 4])
def test_inner_boundary_pixel_by_pixel(width: int) -> None:
    mask = np.kron(np.random.default_rng(width).random((5, 6)) < 0.6, np.ones((3, 3))).astype(bool)
    assert np.array_equal(inner_boundary(mask, width), naive_inner(mask, width))


def test_label_boundary_pixel_by_pixel() -> None:
    label = np.random.default_rng(0).choice(np.array([0, 1, 255], dtype=np.uint8), size=(9, 11))
    for (y, x), found in np.ndenumerate(label_boundary(label)):
        around = [(y, x - 1), (y, x + 1), (y - 1, x), (y + 1, x)]
        inside = [label[a, b] for a, b in around if 0 <= a < 9 and 0 <= b < 11]
        differs = [other for other in inside if other != label[y, x] and other != 255]
        assert found == (label[y, x] != 255 and bool(differs))


def test_a_picture_of_one_class_has_no_band() -> None:
    label = np.zeros((6, 8), dtype=np.uint8)
    assert np.isinf(distance_to(label_boundary(label))).all()
    assert trimap_confusion(label, label, 2, [3])[0].sum() == 0
    overlap = boundary_overlap(label, label, 2, 1)
    assert overlap.iou[0] == 1.0
    assert np.isnan(overlap.iou[1])


def test_counts_add_up_before_they_are_divided() -> None:
    label = np.zeros((8, 8), dtype=np.uint8)
    label[:, 4:] = 1
    right, wrong = boundary_overlap(label, label, 2, 1), boundary_overlap(label, 1 - label, 2, 1)
    total = right + wrong
    assert total.iou[0] == (right.intersection[0] + wrong.intersection[0]) / (right.union[0] + wrong.union[0])
    assert 0 < total.iou[0] < 1
