"""Every test with an argument ``method``, ``dataset``, ``problem``, ``study``, ``network`` runs for each one found,
and with ``training`` or ``variant`` for each that takes other steps than the ones before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from real_data import ROOT_OF_REAL_DATA

from adaptbench import networks
from adaptbench.contracts import plugins
from adaptbench.data import minicity
from adaptbench.data.minicity.write import SPLITS
from adaptbench.networks.pretrained import foreign

from . import distinct, found

#: One city: what is asked of labels and images does not depend on their size.
WORLD = minicity.WorldSpec(scale=0.06)

#: Arguments of tests. (``benchmark`` is a fixture of pytest-benchmark.)
_KINDS = {"method": "method", "dataset": "dataset", "problem": "benchmark", "study": "study"}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("contract")
    group.addoption(
        "--plugins",
        dest="plugin_paths",
        nargs="+",
        metavar="PATH",
        help="also test the plug-ins in these files or folders",
    )
    group.addoption(
        "--data-path", nargs="+", metavar="DATASET=PATH", help="where datasets lie that are read by a test"
    )


def plugin_paths(config: pytest.Config) -> list[Path]:
    """The paths given with --plugins, seen from the folder pytest was called in."""
    folder: Path = config.invocation_params.dir
    return [folder / path for path in config.getoption("plugin_paths", None) or ()]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    registry = found.registry(plugin_paths(metafunc.config))
    for argument, kind in _KINDS.items():
        if argument in metafunc.fixturenames:
            entries = [registry.plugins[kind][name] for name in registry.names(kind)]
            metafunc.parametrize(argument, entries, ids=[entry.name for entry in entries])
    extra = tuple(plugin_paths(metafunc.config))
    for argument, known in (("training", distinct.trainings), ("variant", distinct.variants)):
        if argument in metafunc.fixturenames:
            found_ones = known(extra)
            metafunc.parametrize(argument, found_ones.values(), ids=found_ones.keys(), scope="module")
    if "network" in metafunc.fixturenames:
        metafunc.parametrize("network", networks.names())


@pytest.fixture(scope="package", autouse=True)
def start_weights_read_once() -> Iterator[None]:
    """Hundreds of networks start from a few files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(foreign, "read_tensors", cache(foreign.read_tensors))
        yield


@pytest.fixture(scope="session")
def registry(pytestconfig: pytest.Config) -> plugins.Registry:
    return found.registry(plugin_paths(pytestconfig))


@pytest.fixture(scope="session")
def my_city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few images in the layout of the dataset that docs/ invents."""
    root = tmp_path_factory.mktemp("data") / "my_city"
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for index in range(4):
            image = random.integers(256, size=(72, 128, 3), dtype=np.uint8)
            label = np.kron(random.integers(19, size=(9, 16), dtype=np.uint8), np.ones((8, 8), np.uint8))
            Image.fromarray(image).save(root / split / "images" / f"{index}.png")
            Image.fromarray(label).save(root / split / "labels" / f"{index}.png")
    return root


@pytest.fixture(scope="session")
def data_folder(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, my_city: Path
) -> Callable[[plugins.Plugin], Path]:
    """Folder with images of a dataset: named with --data-path, made here, or real ones of this machine."""
    given = dict(text.split("=", 1) for text in pytestconfig.getoption("--data-path", None) or ())
    named = {"my_city": str(my_city), **given}
    cache = tmp_path_factory.mktemp("minicity")

    def folder(dataset: plugins.Plugin) -> Path:
        if dataset.name in named:
            return Path(pytestconfig.invocation_params.dir, named[dataset.name])
        if dataset.name in SPLITS:
            counts = dict.fromkeys(SPLITS[dataset.name], 4)  # one of every condition
            return minicity.ensure(WORLD, dataset.name, counts, cache=cache, workers=1)
        for name in dataset.literals["folders"]:
            if (ROOT_OF_REAL_DATA / str(name)).is_dir():
                return ROOT_OF_REAL_DATA / str(name)
        pytest.skip(f"no data of {dataset.name}: name its folder with --data-path {dataset.name}=PATH")

    return folder
