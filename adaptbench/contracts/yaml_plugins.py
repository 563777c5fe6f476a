"""Plug-ins that are YAML files: a dataset of a user's own, or a benchmark."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from adaptbench.contracts import folder_dataset
from adaptbench.contracts.benchmark import Benchmark, Setting, SplitRef, StreamOrder
from adaptbench.contracts.profiles import Provenance
from adaptbench.data.units import later
from adaptbench.errors import UsageError
from adaptbench.storage import yaml_file


class StreamFile(BaseModel):
    """How the images of a stream come; see `adaptbench.contracts.benchmark.StreamOrder`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    conditions: list[str] = []
    rounds: int = Field(1, ge=1)


class BenchmarkFile(BaseModel):
    """What the YAML file of a benchmark says; the key ``benchmark`` is its name.

    Attributes:
        datasets: YAML files of datasets that it uses, relative to this one.
        data: provenance of datasets; those described by YAML files are official, since nobody generates them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmark: str = Field(pattern=folder_dataset.NAME)
    title: str = ""
    setting: Setting = "uda"
    class_set: str
    source: list[str] = Field(min_length=1)
    target: list[str] = []
    evaluation: list[str] = Field(min_length=1)
    also: list[str] = []
    datasets: list[Path] = []
    data: dict[str, Provenance] = {}
    stream: StreamFile | None = later(None)


def kind(path: Path) -> str:
    """``benchmark`` or ``dataset``: what a YAML file describes; a UsageError if it is neither."""
    content, _ = yaml_file.load(path)
    for found in ("benchmark", "dataset"):
        if found in content:
            return found
    raise UsageError(
        f"{path}, line 1: expected a key 'dataset' or 'benchmark' with a name; see docs/your-own-data.md."
    )


def companions(path: Path) -> list[Path]:
    """YAML files of datasets that a benchmark's file names; a UsageError if one of them does not exist."""
    if kind(path) != "benchmark":
        return []
    stated = yaml_file.validated(BenchmarkFile, path)
    found = [yaml_file.place(path, ["datasets", i], name) for i, name in enumerate(stated.datasets)]
    for index, file in enumerate(found):
        if not file.is_file():
            raise yaml_file.wrong(path, ["datasets", index], f"there is no file {file}.")
    return found


def facts(path: Path) -> tuple[str, str, dict[str, Any]]:
    """Kind, name, and what lists show of a plug-in; its class set is known from then on."""
    if kind(path) == "dataset":
        described = folder_dataset.read(path)
        shown = {
            "licence": described.licence,
            "homepage": described.homepage,
            "folders": (described.dataset,),
        }
        return "dataset", described.dataset, {"title": described.title or described.dataset, **shown}
    stated = yaml_file.validated(BenchmarkFile, path)
    shown = {"class_set": stated.class_set, "setting": stated.setting}
    return "benchmark", stated.benchmark, {"title": stated.title or stated.benchmark, **shown}


def load(path: Path) -> type[Any]:
    """The class that a YAML file describes; a UsageError names line and key of what does not fit."""
    return folder_dataset.dataset_class(path) if kind(path) == "dataset" else _benchmark_class(path)


def _benchmark_class(path: Path) -> type[Benchmark]:
    stated = yaml_file.validated(BenchmarkFile, path)
    if (stated.setting == "uda") != bool(stated.target):
        raise yaml_file.wrong(path, ["setting"], "'uda' needs a target, and the others have none.")
    own = {folder_dataset.read(file).dataset: "official" for file in companions(path)}
    digest = hashlib.sha256(stated.model_dump_json(exclude={"title", "datasets"}).encode()).hexdigest()
    attributes = {
        "__doc__": f"The problem that {path.name} describes.",
        "__module__": __name__,
        "name": stated.benchmark,
        "title": stated.title or stated.benchmark,
        "version": int(digest[:7], 16),  # a changed file is another version
        "setting": stated.setting,
        "class_set": stated.class_set,
        "provenance": {**own, **stated.data},
        "stream": _stream(stated.stream),
        **{key: _refs(path, key, getattr(stated, key)) for key in ("source", "target", "evaluation", "also")},
    }
    return type(stated.benchmark.title().replace("_", ""), (Benchmark,), attributes)


def _stream(stated: StreamFile | None) -> StreamOrder | None:
    return None if stated is None else StreamOrder(tuple(stated.conditions), stated.rounds)


def _refs(path: Path, key: str, texts: list[str]) -> tuple[SplitRef, ...]:
    for index, text in enumerate(texts):
        if text.count("/") != 1 or not all(text.split("/")):
            raise yaml_file.wrong(path, [key, index], f"expected DATASET/SPLIT, found {text!r}.")
    return tuple(map(SplitRef.parse, texts))
