from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from small_checkpoint import published, trained

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
        return said.err if status else said.out

    yield run
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
