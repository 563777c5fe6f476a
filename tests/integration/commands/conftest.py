from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_switches
from forks import called
from PIL import Image
from small_checkpoint import NETWORK, published, trained

from adaptbench.cli import main

FILE = "iter_40000.pth"


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a published checkpoint and, in imported/, what is made of it; not to be changed."""
    folder = tmp_path_factory.mktemp("small-checkpoint")
    path = folder / FILE
    torch.save(published(trained(seed=1), trained(seed=2)), path)
    options = ("--method", "daformer", "--network", NETWORK, "--name", "mine", "--out", folder)
    with torch_switches.restored():
        code, said = called("import", path, *options)
    assert code == 0, said
    return folder


@pytest.fixture
def file(made_once: Path, tmp_path: Path) -> Path:
    """A published checkpoint."""
    return Path(shutil.copy(made_once / FILE, tmp_path / FILE))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def call(out: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Calls the command with this test's results folder and returns what it said; it must end as expected."""

    def run(*arguments: object, status: int = 0) -> str:
        assert main([*map(str, arguments), "--out", str(out)]) == status
        said = capsys.readouterr()
        return said.out + said.err if status else said.out

    with torch_switches.restored():
        yield run


@pytest.fixture
def mine(made_once: Path, out: Path) -> str:
    """An imported checkpoint."""
    shutil.copytree(made_once / "imported", out / "imported")
    return "mine"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three images of two sizes, one of them in a folder of its own."""
    folder = tmp_path / "images"
    rng = np.random.default_rng(0)
    for name, size in (("b.png", (40, 64)), ("a.jpg", (40, 64)), ("trip/c.png", (56, 48))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)
    return folder
