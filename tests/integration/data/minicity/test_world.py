from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from adaptbench.data.minicity import VERSION, WorldSpec, draw_image, world
from adaptbench.data.minicity.objects import LABEL
from adaptbench.data.minicity.render import Canvas
from adaptbench.data.taxonomy import CITYSCAPES19, label_map

_spec = importlib.util.spec_from_file_location("minicity_golden", Path(__file__).with_name("golden.py"))
golden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden)

RECORDED = json.loads(golden.FILE.read_text())
Labels = npt.NDArray[np.uint8]
TRAINING = {"gta5": "all", "cityscapes": "train"}
RARE = ("truck", "bus", "train", "motorcycle", "rider", "bicycle", "wall", "fence", "terrain")
OBJECTS = (*RARE, "pole", "traffic light", "traffic sign", "person")
SMALL = ("pole", "traffic light", "traffic sign", "person", "rider", "motorcycle", "bicycle")


def labels(spec: WorldSpec, dataset: str, count: int) -> Labels:
    """Train ids of the first images, shape (count, H, W)."""
    table = label_map("cityscapes", "cityscapes19")
    return np.stack([table[label_ids(spec, dataset, index)] for index in range(count)])


@cache
def label_ids(spec: WorldSpec, dataset: str, index: int) -> Any:
    """Those of one image, which several tests look at; its shades, textures and noise are left out."""
    scene, look, _ = world.scene_of(spec, dataset, TRAINING[dataset], index)
    canvas = Canvas(scene, look)
    for patch in (*scene.ground, *scene.upright):
        canvas.paint(patch)
    canvas.label[scene.hood :] = LABEL["ego vehicle"]
    return canvas.label


def presence(stack: Labels, least: int = 20) -> dict[str, float]:
    """Share of images that show at least ``least`` pixels of each class, by class name."""
    shown = [(stack == i).sum(axis=(1, 2)) >= least for i in range(len(CITYSCAPES19))]
    return dict(zip(CITYSCAPES19.classes, np.mean(shown, axis=1), strict=True))


def evenness(stack: Labels) -> float:
    """Entropy of the pixel shares of `OBJECTS`, relative to equal shares (1)."""
    pixels = np.array([(stack == CITYSCAPES19.classes.index(name)).sum() for name in OBJECTS])
    shares = pixels / pixels.sum()
    return float(-(shares * np.log(shares)).sum() / np.log(len(shares)))


def piece_heights(mask: Any, least: int = 30) -> Any:
    """Heights of the connected pieces of a mask that have at least ``least`` pixels."""
    pieces = cv2.connectedComponentsWithStats(mask.astype(np.uint8))[2][1:]
    return pieces[pieces[:, cv2.CC_STAT_AREA] >= least, cv2.CC_STAT_HEIGHT]


def test_golden_is_of_this_version() -> None:
    assert RECORDED["version"] == VERSION


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: "-".join(map(str, case["case"][:3])))
def test_golden_images(case: dict[str, Any]) -> None:
    now = golden.observe(*case["case"])
    assert now["label"] == case["label"]
    assert np.abs(np.subtract(now["image"], case["image"])).max() <= 1.0


def test_a_image_is_a_pure_function() -> None:
    one, other = (draw_image(WorldSpec(), "cityscapes", "val", 3) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    for changed in (
        draw_image(WorldSpec(), "cityscapes", "val", 4),
        draw_image(WorldSpec(), "cityscapes", "train", 3),
        draw_image(WorldSpec(seed=1), "cityscapes", "val", 3),
    ):
        assert not np.array_equal(one[1], changed[1])


@pytest.mark.parametrize(("dataset", "shape"), [("gta5", (263, 479)), ("cityscapes", (256, 512))])
def test_shapes_and_ids(dataset: str, shape: tuple[int, int]) -> None:
    image, label = draw_image(WorldSpec(), dataset, TRAINING[dataset], 0)
    assert image.shape == (*shape, 3)
    assert label.shape == shape
    assert image.dtype == label.dtype == np.uint8
    assert set(np.unique(label)) <= set(LABEL.values())
    assert np.array_equal(label, label_ids(WorldSpec(), dataset, 0))


def test_the_scale_changes_the_sampling_not_the_street() -> None:
    small = draw_image(WorldSpec(scale=0.125), "cityscapes", "train", 5)
    large = draw_image(WorldSpec(scale=0.5), "cityscapes", "train", 5)
    shrunk = cv2.resize(large[1], small[1].shape[::-1], interpolation=cv2.INTER_NEAREST)
    assert (shrunk == small[1]).mean() > 0.93
    close = cv2.resize(large[0], small[1].shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(close.mean((0, 1)) - small[0].mean((0, 1))).max() < 8


def test_without_a_gap_the_domains_are_one() -> None:
    def colourfulness(spec: WorldSpec, dataset: str) -> Any:
        images = [draw_image(spec, dataset, TRAINING[dataset], i)[0] for i in range(32)]
        return np.mean([np.ptp(image.astype(int), axis=2).mean() for image in images])

    none, full = WorldSpec(gap=0.0, scale=0.125), WorldSpec(scale=0.125)
    source = colourfulness(none, "gta5")
    assert abs(colourfulness(none, "cityscapes") - source) < 4
    assert colourfulness(full, "cityscapes") < source - 9


def test_the_gap_leaves_the_source_alone() -> None:
    one, other = (draw_image(WorldSpec(gap=gap), "gta5", "all", 0) for gap in (0.0, 1.0))
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])


@pytest.mark.parametrize("dataset", ["gta5", "cityscapes"])
def test_every_class_can_be_learnt_from(dataset: str) -> None:
    shown = presence(labels(WorldSpec(), dataset, 72))
    assert all(share >= 0.15 for share in shown.values()), shown


@pytest.mark.parametrize("dataset", ["gta5", "cityscapes"])
def test_imbalance_makes_rare_classes_rare(dataset: str) -> None:
    natural = presence(labels(WorldSpec(scale=0.125), dataset, 48))
    even = presence(labels(WorldSpec(scale=0.125, imbalance=0.0), dataset, 48))
    assert np.mean([natural[name] for name in RARE]) < 0.7 * np.mean([even[name] for name in RARE])
    assert max(even[name] for name in RARE) - min(even[name] for name in RARE) < 0.5
    assert all(even[name] > natural[name] for name in ("truck", "bus", "train", "motorcycle"))


@pytest.mark.parametrize("dataset", ["gta5", "cityscapes"])
def test_pixel_balance_gives_classes_equal_shares(dataset: str) -> None:
    def even(**dials: float) -> float:
        return evenness(labels(WorldSpec(scale=0.125, **dials), dataset, 32))  # type: ignore[arg-type]

    assert even() < 0.94
    assert even(imbalance=0.0) < 0.88
    assert min(even(pixel_balance=1.0), even(pixel_balance=1.0, imbalance=0.0)) > 0.97


@pytest.mark.parametrize("dataset", ["gta5", "cityscapes"])
def test_small_objects_are_a_dial(dataset: str) -> None:
    def heights(spec: WorldSpec) -> Any:
        """Median height in pixels of the visible pieces of every small class (slivers left out)."""
        stack = labels(spec, dataset, 40)
        ids = [CITYSCAPES19.classes.index(name) for name in SMALL]
        return np.array([np.median([h for label in stack for h in piece_heights(label == i)]) for i in ids])

    large, middle, natural = (heights(WorldSpec(small_objects=share)) for share in (0.0, 0.5, 1.0))
    assert (large > natural).all()
    assert large.mean() > middle.mean() > natural.mean()
    assert (large / natural).mean() > 1.25
