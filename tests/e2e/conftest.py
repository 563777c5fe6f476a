from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from .bench import PLUGINS, SETTINGS, Bench


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this session's generated pictures are; the first run generates them."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Callable[[str], Bench]]:
    """Makes a `Bench` with an empty results folder; no process of any may be left in the end."""
    made: list[Bench] = []

    def make(name: str) -> Bench:
        made.append(Bench(tmp_path_factory.mktemp(name), cache))
        return made[-1]

    yield make
    left = [pid for one in made for pid in one.processes()]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "orphans"


@pytest.fixture(scope="session")
def reference(bench: Callable[[str], Bench]) -> Bench:
    """Four jobs, two at once, never interrupted."""
    made = bench("reference")
    made = replace(made, settings=SETTINGS, plugins=(*made.plugins, PLUGINS / "chained.py"))
    methods = ("source_only", "dacs", "after_source", "after_oracle")
    answer = made.run(*methods, options=("--jobs", "2"))
    assert answer.code == 0, answer.output
    assert "generated data" in answer.output
    return made


@pytest.fixture(scope="session")
def unlabelled_cache(reference: Bench, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated data without any target label."""
    copy = tmp_path_factory.mktemp("unlabelled") / "cache"
    shutil.copytree(cache, copy)
    for path in copy.glob("minicity/cityscapes-*/gtFine"):
        shutil.rmtree(path)
    return copy
