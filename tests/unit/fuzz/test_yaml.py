"""YAML files that users write: an error of ours, or what YAML says is in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mutations import ODD_TEXTS, damaged, fuzzed, mutated
from PIL import Image

from adaptbench.commands.run import request_of
from adaptbench.contracts import plugins
from adaptbench.data import taxonomy
from adaptbench.errors import AdaptBenchError
from adaptbench.flags import Run, experiment
from adaptbench.planning.plan import make_plan
from adaptbench.planning.request import Request

DATASET: dict[str, Any] = {
    "dataset": "fuzzed",
    "title": "Fuzzed",
    "root": ".",
    "size": [16, 8],
    "range": [0, 4095],
    "classes": ["road", {"name": "other", "colour": "#ff8000"}],
    "labels": {"ids": {0: "road", 1: "other"}, "ignore": [255]},
    "splits": {
        "train": {"images": "images/*.png", "labels": "masks/{stem}.png", "replace": {"_rgb": "_gt"}},
        "val": {"images": "images/**/*.png", "labels": "masks/{folders}/{stem}.png"},
    },
}
BENCHMARK: dict[str, Any] = {
    "benchmark": "fuzzed_problem",
    "title": "Fuzzed",
    "class_set": "cityscapes19",
    "source": ["gta5/all"],
    "target": ["cityscapes/train"],
    "evaluation": ["cityscapes/val", "gta5/heldout"],
    "also": ["synthia/all"],
    "data": {"gta5": "generated"},
}
EXPERIMENT: dict[str, Any] = {
    "methods": ["source_only"],
    "benchmarks": ["gta5_to_cityscapes"],
    "seeds": [0, 1],
    "profile": "mini",
    "set": {"crop": 64, "source_only": {"batch_size": 2}, "minicity.gap": 0.5},
    "limit": 3,
    "jobs": 1,
    "data_path": {"gta5": "somewhere"},
    "wandb_tags": ["a"],
    "device": "cpu",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fuzz")
    for name in ("images/a_rgb.png", "images/deep/b.png", "masks/a_gt.png"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 16), np.uint8)).save(made / name)
    return made


@pytest.fixture(autouse=True, scope="module")
def known_classes() -> Iterator[None]:
    """Descriptions make their classes known; not to other tests."""
    tables = [value for value in vars(taxonomy).values() if isinstance(value, dict)]
    before = [dict(table) for table in tables]
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)


def written(base: dict[str, Any]) -> st.SearchStrategy[str]:
    """The text of a YAML file like ``base``, with other values or damaged bytes."""
    text = yaml.safe_dump(base, sort_keys=False, allow_unicode=True)
    odd = st.sampled_from(
        [yaml.safe_dump(v, allow_unicode=True).strip() for v in ODD_TEXTS] + list(ODD_TEXTS)
    )
    lines = text.splitlines()
    line = st.tuples(st.integers(0, len(lines) - 1), odd).map(
        lambda drawn: "\n".join([*lines[: drawn[0]], f"{lines[drawn[0]]}{drawn[1]}", *lines[drawn[0] + 1 :]])
    )
    other = mutated(base).map(lambda document: yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    bytes_ = damaged(text.encode()).map(lambda data: data.decode("latin-1"))
    return st.just(text) | other | line | bytes_


def read(path: Path, text: str) -> Any:
    path.write_text(text, encoding="utf-8", errors="replace")
    return plugins.discover([path])


@fuzzed
@given(text=written(DATASET))
def test_datasets(folder: Path, text: str) -> None:
    path = folder / "fuzzed.yaml"
    try:
        registry = read(path, text)
        own = [one for one in registry.plugins["dataset"].values() if one.file == path]
        for plugin in own:
            made = plugins.load(plugin)
            said = yaml.safe_load(path.read_text(encoding="utf-8"))
            assert (made.name, list(made.image_size)) == (said["dataset"], list(said["size"]))
            assert {*made.splits} == {*said["splits"]}
            dataset = made(made.default_root)
            for split in made.splits:
                for sample in dataset.samples(split):
                    assert sample.image.is_relative_to(made.default_root)
                    assert sample.label.is_relative_to(made.default_root)
    except AdaptBenchError as error:
        assert len(str(error)) < 20_000


@fuzzed
@given(text=written(BENCHMARK))
def test_benchmarks(folder: Path, text: str) -> None:
    path = folder / "problem.yaml"
    try:
        registry = read(path, text)
        for plugin in [one for one in registry.plugins["benchmark"].values() if one.file == path]:
            made = plugins.load(plugin)
            said = yaml.safe_load(path.read_text(encoding="utf-8"))
            assert (made.name, made.class_set) == (said["benchmark"], said["class_set"])
            assert [str(ref) for ref in made.evaluation] == said["evaluation"]
            request = Request(
                methods=("source_only",), benchmarks=(made.name,), plugins=(path,), device="cpu"
            )
            assert make_plan(request).jobs
    except AdaptBenchError as error:
        assert len(str(error)) < 20_000


@fuzzed
@given(text=written(EXPERIMENT))
def test_experiments(folder: Path, text: str) -> None:
    path = folder / "experiment.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        command = experiment.completed(Run(config=path), [])
        request_of(command)
    except AdaptBenchError as error:
        assert len(str(error)) < 20_000
    else:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        flags = {field.name for field in fields(Run)}
        for key in flags & said.keys() - {"set", "data_path"}:
            value = getattr(command, key)
            stated = said[key] if isinstance(said[key], list) else [said[key]]
            assert [str(one) for one in (value if isinstance(value, tuple) else [value])] == list(
                map(str, stated)
            )
