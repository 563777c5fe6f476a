"""Ranks as forks of the test's process."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from adaptbench.ranks import group
from adaptbench.ranks.group import Ranks

T = TypeVar("T")
_PATIENCE_SECONDS = 300.0


def on_ranks(count: int, work: Callable[[Ranks], T], folder: Path) -> list[T]:
    """What ``work`` gives on each of so many ranks, which meet in an empty folder."""
    start = multiprocessing.get_context("fork")
    team = [start.Process(target=_work, args=(Ranks(rank, count), work, folder)) for rank in range(count)]
    for process in team:
        process.start()
    for process in team:
        process.join(_PATIENCE_SECONDS)
        process.kill()
    return [_result(folder / f"{rank}.pt") for rank in range(count)]


def _work(ranks: Ranks, work: Callable[[Ranks], T], folder: Path) -> None:
    group.meet(ranks, folder / "ranks", torch.device("cpu"))
    try:
        found = work(ranks), ""
    except Exception:
        found = None, traceback.format_exc()
    torch.save(found, folder / f"{ranks.rank}.pt")
    group.part()


def _result(path: Path) -> T:
    assert path.exists(), "a rank ended without a word"
    result, error = torch.load(path, weights_only=False)
    assert not error, error
    given: T = result
    return given
