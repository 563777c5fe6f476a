"""A kept image against the PNG that it was decoded from, at 2048x1024 pixels.

Run with ``pytest benchmarks/speed/test_image_cache.py --benchmark-only``: both stand in one group, so that a single run
gives the ratio, and ``extra_info`` has the sizes of the files. The image is one of MiniCity's Cityscapes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.data import image_strips, minicity
from adaptbench.data.image_cache import ImageCache

Kept = tuple[ImageCache, Dataset, Sample]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("cache")
    root = minicity.ensure(minicity.WorldSpec(scale=1.0), "cityscapes", {"train": 1}, cache=folder, workers=1)
    dataset = plugins.load(plugins.discover().find("dataset", "cityscapes"))(root)
    cache, sample = ImageCache(folder / "decoded", print), dataset.samples("train")[0]
    cache.add(dataset, sample)
    return cache, dataset, sample


def test_it_is_the_same_image(kept: Kept) -> None:
    cache, dataset, sample = kept
    np.testing.assert_array_equal(cache.read(dataset, sample), dataset.read_image(sample))


@pytest.mark.benchmark(group="an image of 2048x1024")
def test_png(benchmark: Any, kept: Kept) -> None:
    _, dataset, sample = kept
    benchmark.extra_info["bytes"] = sample.image.stat().st_size
    benchmark(dataset.read_image, sample)


@pytest.mark.benchmark(group="an image of 2048x1024")
def test_kept(benchmark: Any, kept: Kept) -> None:
    cache, dataset, sample = kept
    benchmark.extra_info["bytes"] = len(image_strips.encoded(dataset.read_image(sample), ""))
    benchmark(cache.read, dataset, sample)


@pytest.mark.benchmark(group="an image of 2048x1024")
def test_512_rows_of_it(benchmark: Any, kept: Kept) -> None:
    cache, *_ = kept
    (entry,) = (path for path in cache.folder.rglob("*") if path.is_file())

    def rows() -> None:
        with image_strips.opened(entry) as strips:
            strips.read(200, 712)

    benchmark(rows)


@pytest.mark.benchmark(group="keep an image of 2048x1024")
def test_encoding(benchmark: Any, kept: Kept) -> None:
    _, dataset, sample = kept
    benchmark(image_strips.encoded, dataset.read_image(sample), "")
