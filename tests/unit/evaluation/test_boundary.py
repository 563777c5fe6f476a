"""Scores near boundaries, pixel by pixel. Recorded values: conformance case ``metrics``."""

from __future__ import annotations

import numpy as np
import pytest

from adaptbench.evaluation.boundary import (
    Mask,
    boundary_overlap,
    distance_to,
    inner_boundary,
    label_boundary,
    trimap_confusion,
)


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


def test_a_image_of_one_class_has_no_band() -> None:
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
