"""Pseudo-label margins, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from adaptbench.data.pseudo_margins import Margins, crop_mask, cut_margins, margin_mask


@pytest.mark.parametrize("size", [(4, 5), (9, 6), (16, 32)])
@pytest.mark.parametrize("margins", [Margins(), Margins(1, 2, 0, 3), Margins(2, 0, 1, 1)])
def test_margins_equal_the_naive_version(size: tuple[int, int], margins: Margins) -> None:
    mask = cut_margins(margins, size)
    for row in range(size[0]):
        for column in range(size[1]):
            inside = margins.top <= row < size[0] - margins.bottom
            inside = inside and margins.left <= column < size[1] - margins.right
            assert mask[row, column] == inside
    assert mask.dtype == np.uint8


@pytest.mark.parametrize("margins", [Margins(top=-1), Margins(top=5, bottom=3), Margins(left=9)])
def test_margins_have_to_leave_something(margins: Margins) -> None:
    with pytest.raises(ValueError, match="margins"):
        cut_margins(margins, (8, 8))


def test_the_canvas_is_fixed_whatever_the_image_size_is() -> None:
    margins = Margins(30, 240, 30, 30)
    published = margin_mask(margins, (2048, 1024), (1024, 512))
    assert np.array_equal(published, margin_mask(margins, (512, 256), (1024, 512)))
    assert published.shape == (512, 1024)
    assert published.sum() == (512 - 15 - 120) * (1024 - 15 - 15)


def test_own_size_as_canvas() -> None:
    mask = margin_mask(Margins(30, 240, 30, 30), (1920, 1080), (960, 540), canvas="image")
    assert np.array_equal(mask, cut_margins(Margins(15, 120, 15, 15), (540, 960)))


def test_a_canvas_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="canvas='image'"):
        margin_mask(Margins(30, 240, 30, 30), (1920, 1080), (1920, 1080))


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("box", [(0, 4, 0, 4), (1, 5, 2, 6), (3, 9, 0, 4), (0, 9, 0, 9)])
def test_crop_flip_pad(box: tuple[int, int, int, int], flip: bool) -> None:
    mask = np.random.default_rng(0).integers(0, 2, (6, 7), dtype=np.uint8)
    top, bottom, left, right = box
    size = (bottom - top, right - left)
    got = crop_mask(mask, (slice(top, bottom), slice(left, right)), flip, size)
    have_rows, have_columns = min(bottom, 6) - top, min(right, 7) - left
    assert got.shape == size
    for row in range(size[0]):
        for column in range(size[1]):
            if row >= have_rows or column >= have_columns:
                assert got[row, column] == 255
            else:
                source = have_columns - 1 - column if flip else column
                assert got[row, column] == mask[top + row, left + source]
