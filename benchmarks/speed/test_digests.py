"""What digests cost: generated images and labels checked when they are read, and checkpoints written and read.

Run with ``pytest benchmarks/speed/test_digests.py --benchmark-only``: the same without digests stands in every group.
Images are those of MiniCity's GTA5 at the official size; the checkpoint has 256 MB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset
from adaptbench.data import files, minicity
from adaptbench.training import checkpoint

MEGABYTES = 256
READS = ["read_image", "read_label"]


@pytest.fixture(scope="module")
def gta5(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    cache = tmp_path_factory.mktemp("cache")
    root = minicity.ensure(minicity.WorldSpec(scale=1.0), "gta5", {"all": 1}, cache=cache, workers=1)
    opened: Dataset = plugins.load(plugins.discover().find("dataset", "gta5"))(root)
    return opened


@pytest.fixture(params=[True, False], ids=["with digests", "without"])
def digests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    if not request.param:
        monkeypatch.setattr(files, "require_as_generated", lambda path, data: None)
        monkeypatch.setattr(checkpoint, "digest", lambda state: "0")
    yield request.param


@pytest.mark.benchmark(group="sha256 of a megabyte")
def test_sha256(benchmark: Any) -> None:
    data = bytes(range(256)) * 4000
    benchmark(lambda: hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("read", READS)
@pytest.mark.benchmark(group="an image or a label of 1914x1052")
def test_reading(benchmark: Any, gta5: Dataset, read: str, digests: bool) -> None:
    (sample,) = gta5.samples("all")
    reader: Callable[..., Any] = getattr(gta5, read)
    benchmark(reader, sample)


@pytest.mark.parametrize("work", ["save", "load"])
@pytest.mark.benchmark(group=f"a checkpoint of {MEGABYTES} MB")
def test_checkpoint(benchmark: Any, tmp_path: Path, work: str, digests: bool) -> None:
    tensors = {f"layer {i}": torch.randn(4_000_000) for i in range(MEGABYTES // 16)}
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, tensors, {})
    run = (lambda: checkpoint.save(path, tensors, {})) if work == "save" else (lambda: checkpoint.load(path))
    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
