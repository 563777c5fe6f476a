"""Labels, images and maps as they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from adaptbench.data import transforms
from adaptbench.data.normalisation import CAFFE, IMAGENET, Normalisation
from adaptbench.data.taxonomy import CAMVID11, IGNORE
from adaptbench.drawing.contact_sheet import Panel
from adaptbench.drawing.panels import Painter

SIZE = (16, 24)


def drawn(part: str, normalisation: Normalisation = IMAGENET, **parts: np.ndarray) -> Panel:
    return Painter(CAMVID11, normalisation).panel(part, parts, "name")


@pytest.mark.parametrize("normalisation", [IMAGENET, CAFFE])
def test_images_come_back_from_the_networks_input(normalisation: Normalisation) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    image = transforms.normalise(rgb, normalisation).numpy()
    panel = drawn("image", normalisation, image=image)
    assert np.array_equal(panel.image, rgb)
    assert panel.caption == "name"


def test_jittered_values_are_clipped() -> None:
    image = np.full((3, *SIZE), 99.0, dtype=np.float32)
    image[0, 0, 0] = np.nan
    assert drawn("image", image=image).image.max() == 255


def test_labels_have_the_colours_of_their_classes() -> None:
    ids = np.random.default_rng(0).integers(0, len(CAMVID11), (1, *SIZE))
    ids[0, 0] = IGNORE
    panel = drawn("label", label=ids)
    assert np.array_equal(panel.image[1:], np.asarray(CAMVID11.palette)[ids[0, 1:]])
    assert not panel.image[0].any()
    assert (panel.caption, panel.smooth) == ("", False)


def test_what_weighs_less_is_darker() -> None:
    ids, weight = np.zeros(SIZE, dtype=np.int64), np.zeros(SIZE, dtype=np.float32)
    weight[:, 8:], weight[:, 16:] = 0.5, 255.0
    panel = drawn("label", label=ids, weight=weight)
    low, half, full = (panel.image[0, column].astype(int) for column in (0, 8, 16))
    assert tuple(full) == CAMVID11.palette[0]
    assert (low < half).all() and (half < full).all() and (low > 0).all()


@pytest.mark.parametrize("size", [(16, 24), (256, 256), (1024, 1024)])
def test_what_is_not_confident_is_hatched(size: tuple[int, int]) -> None:
    ids, confident = np.zeros(size, dtype=np.uint8), np.zeros(size, dtype=bool)
    confident[:, : size[1] // 4] = True
    panel = drawn("label", label=ids, confident=confident, weight=np.ones(size))
    white = (panel.image == 255).all(axis=-1)
    assert not white[confident].any()
    assert 0.05 < white[~confident].mean() < 0.3
    assert panel.caption == "confident 25.0%"


def test_pasted_images_say_so() -> None:
    mask = np.zeros((1, *SIZE), dtype=bool)
    mask[:, :4] = True
    assert drawn("image", image=np.zeros((3, *SIZE), np.float32), mask=mask).caption == "pasted 25.0%"


def test_maps_go_from_black_to_white() -> None:
    ramp = np.linspace(0, 1, SIZE[1], dtype=np.float32)[None, None].repeat(SIZE[0], axis=1)
    panel = drawn("attention", attention=ramp)
    assert panel.image.shape == (*SIZE, 3)
    assert (panel.image[0, 0].tolist(), panel.image[0, -1].tolist()) == ([0] * 3, [255] * 3)
    assert panel.caption == "mean 0.50"
    assert drawn("where", where=ramp[0] > 0.5).image.max() == 255
    assert drawn("several", several=np.ones((5, *SIZE), np.float32)).image.min() == 255
