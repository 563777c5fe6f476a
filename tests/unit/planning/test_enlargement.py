"""Photographs are not shown larger than their files, where a profile shortens trainings."""

from __future__ import annotations

import pytest

from adaptbench.contracts import plugins
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import resolve
from adaptbench.planning.enlargement import unenlarged
from methods.hrda import HRDA

REGISTRY = plugins.discover()


@pytest.mark.parametrize(
    ("name", "official", "largest"),
    [
        ("small", ["camvid"], 1.0),
        ("small", ["gta5", "camvid"], 1.0),
        ("small", ["cityscapes"], 4.0),
        ("small", [], None),
        ("mini", ["camvid"], 2.0),
        ("paper", ["camvid"], None),
    ],
)
def test_the_smallest_files_decide(name: str, official: list[str], largest: float | None) -> None:
    assert unenlarged(profile(name), REGISTRY, official).resolution == largest


@pytest.mark.parametrize(
    ("official", "resolution", "crop", "detail_crop", "pixels"),
    [("camvid", 1.0, 256, 128, 188), ("cityscapes", 2.0, 512, 256, 750)],
)
def test_lengths_shrink_as_the_images_do(
    official: str, resolution: float, crop: int, detail_crop: int, pixels: int
) -> None:
    shown = unenlarged(profile("small"), REGISTRY, [official])
    settings = resolve(HRDA.Settings, shown, None, {}, "daformer-lite0-half", {}).settings
    assert (settings.resolution, settings.crop, settings.detail_crop) == (resolution, crop, detail_crop)
    assert settings.rare_class_min_pixels == pixels
    plain = resolve(HRDA.Settings, profile("small"), None, {}, "daformer-lite0-half", {}).settings
    assert settings.iterations == plain.iterations


def test_what_the_user_states_is_taken_as_it_is() -> None:
    shown = unenlarged(profile("small"), REGISTRY, ["camvid"])
    stated = {"resolution": 2.0, "crop": 512}
    settings = resolve(HRDA.Settings, shown, None, {}, "daformer-lite0-half", stated).settings
    assert (settings.resolution, settings.crop) == (2.0, 512)
