"""A generated world that is small enough to be read by any test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adaptbench.data import minicity


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny gta5/ and cityscapes/ in their official layouts; not to be changed."""
    cache, root = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("official")
    counts = {"gta5": {"all": 4}, "cityscapes": {"train": 4, "val": 3}}
    for name, images in counts.items():
        minicity.ensure(minicity.WorldSpec(scale=0.06), name, images, cache=cache, workers=1).rename(
            root / name
        )
    return root


@pytest.fixture
def official(small_world: Path, tmp_path: Path) -> Path:
    """A copy of the small world, passed off as the official data."""
    return Path(shutil.copytree(small_world, tmp_path / "official"))
