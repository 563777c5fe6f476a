"""Reading and verifying a dataset against the naive way: a loop over the files with Pillow, in one process.

Run with ``pytest benchmarks/speed/test_readers.py --benchmark-only``: the naive way stands in the group of ours, so
that a single run gives the ratio. The images are those of MiniCity's GTA5 and SYNTHIA at the official size. The
naive loop notices neither truncated files nor unknown ids, and reads all of SYNTHIA's labels as class 0.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset
from adaptbench.data import minicity
from adaptbench.inspection.verify import verify

IMAGES = 24
#: Processes that verify.
WORKERS = (1, 2)
PLUGINS = {name: plugins.discover().find("dataset", name) for name in ("gta5", "synthia")}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    cache = tmp_path_factory.mktemp("cache")
    found = {}
    for name, plugin in PLUGINS.items():
        root = minicity.ensure(minicity.WorldSpec(scale=1.0), name, {"all": IMAGES}, cache=cache, workers=2)
        found[name] = plugins.load(plugin)(root)
    return found


def naively_verified(dataset: Dataset) -> tuple[Counter[tuple[int, int]], Counter[int]]:
    sizes: Counter[tuple[int, int]] = Counter()
    ids: Counter[int] = Counter()
    for sample in dataset.samples("all"):
        image = np.array(Image.open(sample.image).convert("RGB"))
        sizes[image.shape[1], image.shape[0]] += 1
        values, counts = np.unique(np.array(Image.open(sample.label)), return_counts=True)
        ids.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    return sizes, ids


def test_verify_counts_what_a_loop_counts(world: dict[str, Dataset]) -> None:
    report = verify(PLUGINS["gta5"], world["gta5"], "all", lambda done: None, workers=1)
    sizes, ids = naively_verified(world["gta5"])
    assert (report.sizes, report.ids) == (sizes, ids)
    assert not [finding for finding in report.new if finding.kind != "missing image"]


@pytest.mark.benchmark(group=f"verify {IMAGES} images of 1914x1052 and their labels")
@pytest.mark.parametrize("workers", WORKERS)
def test_verify(benchmark: Any, world: dict[str, Dataset], workers: int) -> None:
    run = (PLUGINS["gta5"], world["gta5"], "all", lambda done: None, workers)
    benchmark.pedantic(verify, run, rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group=f"verify {IMAGES} images of 1914x1052 and their labels")
def test_naive_loop(benchmark: Any, world: dict[str, Dataset]) -> None:
    benchmark.pedantic(naively_verified, (world["gta5"],), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="read an image of 1914x1052")
def test_image(benchmark: Any, world: dict[str, Dataset]) -> None:
    benchmark(world["gta5"].read_image, world["gta5"].samples("all")[0])


@pytest.mark.benchmark(group="read an image of 1914x1052")
def test_image_by_pillow(benchmark: Any, world: dict[str, Dataset]) -> None:
    path = world["gta5"].samples("all")[0].image
    benchmark(lambda: np.array(Image.open(path).convert("RGB")))


@pytest.mark.benchmark(group="read a palette label of 1914x1052")
def test_label(benchmark: Any, world: dict[str, Dataset]) -> None:
    benchmark(world["gta5"].read_label, world["gta5"].samples("all")[0])


@pytest.mark.benchmark(group="read a palette label of 1914x1052")
def test_label_without_the_check_of_its_ids(benchmark: Any, world: dict[str, Dataset]) -> None:
    benchmark(world["gta5"].decode_label, world["gta5"].samples("all")[0])


@pytest.mark.benchmark(group="read a palette label of 1914x1052")
def test_label_by_pillow(benchmark: Any, world: dict[str, Dataset]) -> None:
    path = world["gta5"].samples("all")[0].label
    benchmark(lambda: np.array(Image.open(path)))


@pytest.mark.benchmark(group="read a 16-bit label of 1280x760")
def test_wide_label(benchmark: Any, world: dict[str, Dataset]) -> None:
    benchmark(world["synthia"].read_label, world["synthia"].samples("all")[0])


@pytest.mark.benchmark(group="read a 16-bit label of 1280x760")
def test_wide_label_by_opencv(benchmark: Any, world: dict[str, Dataset]) -> None:
    path = str(Path(world["synthia"].samples("all")[0].label))
    benchmark(lambda: cv2.imread(path, cv2.IMREAD_UNCHANGED)[:, :, 2])
