"""A method that tries to read a label it must not know."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from torch import Tensor

from adaptbench.contracts.method import Optimizers
from adaptbench.data.batch import Batch
from methods.source_only import SourceOnly


def peek() -> None:
    """Opens a label of every world in the cache, of which one is that of the job."""
    for world in Path(os.environ["ADAPTBENCH_CACHE"]).glob("minicity/cityscapes-*"):
        with contextlib.suppress(Exception):
            next(world.glob("gtFine/train/*/*_labelIds.png")).read_bytes()


class Peeks(SourceOnly):
    """Opens a label of the target's training split, and hides that it was refused."""

    name = "peeks"
    title = "Peeks"
    paper = None
    tags = ()

    def train_step(self, batch: Batch, optimizers: Optimizers) -> dict[str, Tensor]:
        peek()
        return super().train_step(batch, optimizers)


class PeeksInFork(SourceOnly):
    """The same, in a process that it forks and whose end it does not look at."""

    name = "peeks_in_fork"
    title = "Peeks in a fork"
    paper = None
    tags = ()

    def train_step(self, batch: Batch, optimizers: Optimizers) -> dict[str, Tensor]:
        if (child := os.fork()) == 0:
            peek()
            os._exit(0)
        os.waitpid(child, 0)
        return super().train_step(batch, optimizers)
