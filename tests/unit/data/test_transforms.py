"""Transforms agree with naive ones. Recorded pipelines: conformance case ``preprocess``."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from adaptbench.data import transforms
from adaptbench.data.normalisation import CAFFE, IMAGENET, Normalisation
from adaptbench.data.transforms import (
    draw_crop,
    draw_labelled_crop,
    fitted_size,
    label_input,
    network_input,
    normalise,
)


@pytest.mark.parametrize(
    ("size", "box", "fitted"),
    [
        ((1914, 1052), (1280, 720), (1280, 704)),  # GTA5, as in the recorded pipelines
        ((1914, 1046), (1280, 720), (1280, 700)),
        ((1914, 1052), (2560, 1440), (2560, 1407)),
        ((2048, 1024), (1024, 512), (1024, 512)),  # Cityscapes
        ((2048, 1024), (2048, 1024), (2048, 1024)),
        ((1280, 760), (1280, 760), (1280, 760)),  # SYNTHIA
        ((1052, 1914), (1280, 720), (704, 1280)),  # long and short sides, not width and height
        ((319, 175), (213, 120), (213, 117)),
        ((256, 128), (171, 85), (170, 85)),
        ((256, 128), (110, 60), (110, 55)),
    ],
)
def test_sizes(size: tuple[int, int], box: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fitted_size(size, box) == fitted


@given(
    st.tuples(st.integers(8, 3000), st.integers(8, 3000)),
    st.tuples(st.integers(8, 3000), st.integers(8, 3000)),
)
def test_a_fitted_size_touches_the_box(size: tuple[int, int], box: tuple[int, int]) -> None:
    fitted = fitted_size(size, box)
    assert max(fitted) <= max(box)
    assert min(fitted) <= min(box)
    assert max(fitted) == max(box) or min(fitted) == min(box)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(0, 99))
def test_a_crop_lies_inside(height: int, width: int, side: int, seed: int) -> None:
    crop = draw_crop((height, width, 3), side, np.random.default_rng(seed))
    assert np.zeros((height, width))[crop].shape == (min(side, height), min(side, width))
    assert all(part.start >= 0 for part in crop)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(0, 99))
def test_a_rectangle_lies_inside(height: int, width: int, wide: int, high: int, seed: int) -> None:
    crop = draw_crop((height, width, 3), (wide, high), np.random.default_rng(seed))
    assert np.zeros((height, width))[crop].shape == (min(high, height), min(wide, width))


def test_every_crop_position_is_drawn() -> None:
    drawn = {
        (crop[0].start, crop[1].start)
        for seed in range(200)
        for crop in [draw_crop((6, 5), 4, np.random.default_rng(seed))]
    }
    assert drawn == {(top, left) for top in range(3) for left in range(2)}


def share(label: np.ndarray) -> float:
    """Largest share of one class in the labelled pixels, naively; 1 if there is only one."""
    values = [int(v) for v in label.ravel() if v != 255]
    return max((values.count(v) / len(values) for v in set(values)), default=1.0)


def test_a_crop_of_mostly_one_class_is_drawn_again() -> None:
    label = np.zeros((40, 40), np.uint8)
    label[:12, :12] = np.arange(144).reshape(12, 12) % 7
    label[:, 30:] = 255
    crops = [draw_labelled_crop(label, 12, 0.75, np.random.default_rng(seed)) for seed in range(40)]
    plain = [draw_crop(label.shape, 12, np.random.default_rng(seed)) for seed in range(40)]
    kept = [crop == first for crop, first in zip(crops, plain, strict=True)]
    assert any(kept) and not all(kept)
    for crop, first in zip(crops, plain, strict=True):
        assert (crop == first) or share(label[first]) >= 0.75
        assert (crop != first) or share(label[first]) < 0.75
    accepted = sum(share(label[crop]) < 0.75 for crop in crops)
    assert accepted > sum(share(label[crop]) < 0.75 for crop in plain)


def test_the_eleventh_crop_is_taken_as_it_is() -> None:
    label, rng, same = np.zeros((40, 40), np.uint8), np.random.default_rng(5), np.random.default_rng(5)
    taken = draw_labelled_crop(label, 8, 0.75, rng)
    assert taken == [draw_crop(label.shape, 8, same) for _ in range(11)][-1]


def test_with_a_limit_of_1_every_crop_is_taken() -> None:
    label, rng, same = np.zeros((40, 40), np.uint8), np.random.default_rng(5), np.random.default_rng(5)
    assert draw_labelled_crop(label, 8, 1.0, rng) == draw_crop(label.shape, 8, same)


@pytest.mark.parametrize("values", [IMAGENET, CAFFE])
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 9))
def test_a_batch_has_the_bits_of_the_naive_order(
    values: Normalisation, height: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    images = list(rng.integers(256, size=(2, height, width, 3), dtype=np.uint8))
    box = (5, 7)
    for image, made in zip(images, network_input(images, values, box), strict=True):
        channels = torch.from_numpy(image.copy()).permute(2, 0, 1)
        channels = channels.flip(0) if values.bgr else channels
        mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (values.mean, values.std))
        naive = (channels.float() - mean) / std
        missing = (0, max(5 - width, 0), 0, max(7 - height, 0))
        assert torch.equal(made, functional.pad(naive, missing))
        assert torch.equal(normalise(image[:, ::-1], values), naive.flip(-1))


def test_labels_are_padded_with_what_is_ignored() -> None:
    label = np.arange(6, dtype=np.uint8).reshape(2, 3)
    (padded,) = label_input([label[:, ::-1]], (4, 3))
    assert padded.tolist() == [[[2, 1, 0, 255], [5, 4, 3, 255], [255] * 4]]
    assert label_input([label], (2, 1)).tolist() == [[label.tolist()]]


def test_images_of_several_sizes_are_no_batch() -> None:
    sizes = [(4, 4, 3), (4, 5, 3)]
    with pytest.raises(ValueError, match="unpack"):
        network_input([np.zeros(size, np.uint8) for size in sizes])


def test_labels_take_the_nearest_pixel_of_opencv() -> None:
    label = np.random.default_rng(1).integers(19, size=(13, 17), dtype=np.uint8)
    resized = transforms.resize_label(label, (9, 7))
    rows, columns = np.arange(7) * 13 // 7, np.arange(9) * 17 // 9
    np.testing.assert_array_equal(resized, label[np.ix_(rows, columns)])
    assert np.array_equal(resized, cv2.resize(label, (9, 7), interpolation=cv2.INTER_NEAREST))
