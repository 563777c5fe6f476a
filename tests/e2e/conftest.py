from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from .bench import PLUGINS, SETTINGS, Bench

METHODS = ("source_only", "dacs", "after_source", "after_oracle")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kills")
    group.addoption("--kills", type=int, default=0, help="a campaign of so many kills instead of a sample")
    group.addoption("--kill-seed", type=int, default=0, help="of the campaign's random moments")
    group.addoption("--worker-kills", type=int, default=0, help="a campaign against workers of so many hits")
    group.addoption("--company", type=int, default=0, help="commands beside the one that is killed")


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Four jobs, two at once, never interrupted. Made once for all workers of pytest-xdist; not to be changed."""
    own = tmp_path_factory.getbasetemp()
    common = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    made = Bench(
        common / "reference",
        common / "cache",
        plugins=(PLUGINS / "tiny.py", PLUGINS / "chained.py"),
        settings=SETTINGS,
    )
    finished = common / "reference-finished"
    with FileLock(common / "reference.lock"):
        if not finished.exists():
            answer = made.run(*METHODS, options=("--jobs", "2"))
            assert answer.code == 0, answer.output
            assert "generated data" in answer.output
            assert not made.processes(), "orphans"
            finished.touch()
    return made


@pytest.fixture(scope="session")
def cache(reference: Bench) -> Path:
    """Where the generated images of the tiny benchmark are."""
    return reference.cache


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


@pytest.fixture(scope="module")
def unlabelled_cache(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was generated until now, without any target label."""
    copy = tmp_path_factory.mktemp("unlabelled") / "cache"
    shutil.copytree(cache, copy)
    for path in copy.glob("minicity/cityscapes-*/gtFine"):
        shutil.rmtree(path)
    return copy
