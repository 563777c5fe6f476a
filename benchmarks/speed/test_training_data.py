"""What a training batch takes at official size, and its parts against the naive order of NumPy and torch.

Run with ``pytest benchmarks/speed/test_training_data.py --benchmark-only``: what is compared stands in one group, so
that a single run gives the ratio. Files are MiniCity's GTA5 (1914x1052) and Cityscapes (2048x1024), and a batch has
2 + 2 crops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from adaptbench import networks
from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import resolve
from adaptbench.data import label_ids, minicity, transforms
from adaptbench.data import stream as streams
from adaptbench.data.image_cache import ImageCache
from adaptbench.data.normalisation import IMAGENET
from adaptbench.data.photometric_distortion import Distortion, distort
from adaptbench.data.stream import Domain, TrainingStream
from adaptbench.data.taxonomy import label_map
from adaptbench.evaluation.sizes import input_size
from adaptbench.execution.launch import freed_memory, processes
from adaptbench.execution.stages.data import cached

SPLITS = {"gta5": "all", "cityscapes": "train"}
METHODS = ("dacs", "hrda")
BATCHES = 3
CROP = np.random.default_rng(0).integers(256, size=(1024, 1024, 3), dtype=np.uint8)
LABEL = np.random.default_rng(0).integers(19, size=(1052, 1914), dtype=np.uint8)
TABLE = label_map("cityscapes", "cityscapes19")
WARM = Distortion(brightness=9.5, contrast=1.2, saturation=0.8, hue=-7)


@pytest.fixture(scope="module", autouse=True)
def one_core() -> None:
    processes.fix_threads(1)
    freed_memory.keep()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    cache, registry = tmp_path_factory.mktemp("cache"), plugins.discover()
    roots = {
        name: minicity.ensure(minicity.WorldSpec(scale=1.0), name, {split: 6}, cache=cache, workers=1)
        for name, split in SPLITS.items()
    }
    return {name: plugins.load(registry.find("dataset", name))(root) for name, root in roots.items()}


def stream(world: dict[str, Dataset], name: str, cache: ImageCache | None) -> TrainingStream:
    """The batches of a method's paper, without images that stay in memory."""
    method, paper = plugins.load(plugins.discover().find("method", name)), profile("paper")
    network = str(method.Settings.model_fields["network"].default)
    values = {"pretraining": "none"}
    settings = resolve(method.Settings, paper, None, networks.spec(network).recipe, network, values).settings
    domains = [
        Domain(
            [(dataset, sample, input_size(dataset, settings.resolution, paper), table) for sample in samples]
        )
        for dataset, samples, table in (
            (world["gta5"], world["gta5"].samples("all"), label_map(world["gta5"].id_space, "cityscapes19")),
            (world["cityscapes"], world["cityscapes"].samples("train"), None),
        )
    ]
    if cache is not None:
        domains = [cached(domain, cache) for domain in domains]
    return TrainingStream(domains[0], domains[1], settings, 5, method.sampling(settings))


@pytest.mark.parametrize("kept", [False, True], ids=["files", "image cache"])
@pytest.mark.parametrize("method", METHODS)
def test_batch(
    benchmark: Any,
    world: dict[str, Dataset],
    method: str,
    kept: bool,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path_factory.mktemp("statistics")))
    monkeypatch.setattr(streams, "CACHE_BYTES", 0)
    benchmark.group = f"a batch of {method}"
    made = stream(world, method, ImageCache(tmp_path_factory.mktemp("decoded"), print) if kept else None)
    numbers = iter(range(10**6))
    benchmark.pedantic(lambda: made[next(numbers) % BATCHES], rounds=2 * BATCHES, warmup_rounds=BATCHES)


def naively_normalised(images: list[Any]) -> torch.Tensor:
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (IMAGENET.mean, IMAGENET.std))
    return torch.stack(
        [
            torch.from_numpy(np.ascontiguousarray(one.transpose(2, 0, 1))).float().sub_(mean).div_(std)
            for one in images
        ]
    )


def naively_distorted(image: Any) -> Any:
    def linear(values: Any, factor: float = 1.0, shift: float = 0.0) -> Any:
        return np.clip(values.astype(np.float32) * factor + shift, 0, 255).astype(np.uint8)

    image = linear(linear(image, shift=WARM.brightness or 0.0), factor=WARM.contrast or 1.0)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 1] = linear(hsv[..., 1], factor=WARM.saturation or 1.0)
    hsv = cv2.cvtColor(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + (WARM.hue or 0)) % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


PARTS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "network input": (
        lambda: transforms.network_input([CROP, CROP]),
        lambda: naively_normalised([CROP, CROP]),
    ),
    "pixels by class": (
        lambda: label_ids.pixel_counts(LABEL),
        lambda: np.bincount(LABEL.ravel(), minlength=256),
    ),
    "train ids": (lambda: label_ids.train_ids(LABEL, TABLE), lambda: TABLE[LABEL]),
    "distorted colours": (lambda: distort(CROP, WARM), lambda: naively_distorted(CROP)),
}


@pytest.mark.parametrize("part", PARTS)
def test_both_orders_have_the_same_bits(part: str) -> None:
    ours, naive = (np.asarray(make()) for make in PARTS[part])
    np.testing.assert_array_equal(ours, naive)


@pytest.mark.parametrize("order", ["ours", "naive"])
@pytest.mark.parametrize("part", PARTS)
def test_part(benchmark: Any, part: str, order: str) -> None:
    benchmark.group = part
    benchmark(PARTS[part][order == "naive"])
