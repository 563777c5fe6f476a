from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_checkpoint import NETWORK, published, trained

from adaptbench.cli import main


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A published checkpoint."""
    path = tmp_path / "iter_40000.pth"
    torch.save(published(trained(seed=1), trained(seed=2)), path)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def call(out: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Calls the command with this test's results folder and returns what it said; it must end as expected."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()

    def run(*arguments: object, status: int = 0) -> str:
        assert main([*map(str, arguments), "--out", str(out)]) == status
        said = capsys.readouterr()
        return said.out + said.err if status else said.out

    yield run
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture
def mine(call: Callable[..., str], file: Path) -> str:
    """An imported checkpoint."""
    call("import", file, "--method", "daformer", "--network", NETWORK, "--name", "mine")
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
