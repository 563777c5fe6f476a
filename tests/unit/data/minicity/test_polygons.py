from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from adaptbench.data.minicity.polygons import regions


def painted(label: np.ndarray) -> np.ndarray:
    """All regions painted in order over an id that none has."""
    image = Image.new("L", label.shape[::-1], 255)
    brush = ImageDraw.Draw(image)
    for region in regions(label):
        brush.polygon([(x, y) for x, y in region.outline], fill=region.id)
    return np.array(image)


@pytest.mark.parametrize("ids", [1, 2, 3, 9])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (13, 17), (40, 31)])
def test_painting_the_regions_gives_back_the_map(size: tuple[int, int], ids: int) -> None:
    for seed in range(5):
        label = np.random.default_rng(seed).integers(ids, size=size, dtype=np.uint8)
        np.testing.assert_array_equal(painted(label), label)


def test_holes_in_holes_and_diagonals() -> None:
    label = np.zeros((21, 21), np.uint8)
    for depth in range(1, 10):
        label[depth : 21 - depth, depth : 21 - depth] = depth % 2
    label[np.arange(21), np.arange(21)] = 7
    np.testing.assert_array_equal(painted(label), label)


def test_what_is_enclosed_comes_later() -> None:
    label = np.zeros((9, 9), np.uint8)
    label[2:7, 2:7] = 5
    label[4, 4] = 0
    assert [(region.id, region.area) for region in regions(label)] == [(0, 81), (5, 25), (0, 1)]
