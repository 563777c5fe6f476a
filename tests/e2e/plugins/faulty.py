"""Methods that fail, each in its own way."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import torch
from torch import Tensor

from adaptbench.contracts.method import Optimizers
from adaptbench.data.batch import Batch
from methods.source_only import SourceOnly


class Raises(SourceOnly):
    """Raises until someone mends it."""

    name = "raises"
    title = "Raises"
    paper = None
    tags = ()

    def train_step(self, batch: Batch, optimizers: Optimizers) -> dict[str, Tensor]:
        if batch.iteration == 1 and not Path(os.environ["TEST_MENDED"]).exists():
            raise ValueError("this method is broken on purpose")
        return super().train_step(batch, optimizers)


class KillsItself(SourceOnly):
    """Ends as the kernel ends a process that takes too much memory."""

    name = "kills_itself"
    title = "Kills itself"
    paper = None
    tags = ()

    def train_step(self, batch: Batch, optimizers: Optimizers) -> dict[str, Tensor]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


class Leaves(SourceOnly):
    """Ends its process as if all were well."""

    name = "leaves"
    title = "Leaves"
    paper = None
    tags = ()

    def train_step(self, batch: Batch, optimizers: Optimizers) -> dict[str, Tensor]:
        os._exit(0)


class Diverges(SourceOnly):
    """Ends up with weights that are no numbers."""

    name = "diverges"
    title = "Diverges"
    paper = None
    tags = ()

    def train_step(self, batch: Batch, optimizers: Optimizers) -> dict[str, Tensor]:
        log = super().train_step(batch, optimizers)
        with torch.no_grad():
            next(self.student.parameters()).fill_(float("nan"))
        return log


class Hungry(SourceOnly):
    """Asks for more memory than it may have."""

    name = "hungry"
    title = "Hungry"
    paper = None
    tags = ()

    def train_step(self, batch: Batch, optimizers: Optimizers) -> dict[str, Tensor]:
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, resource.RLIM_INFINITY))
        torch.ones(1 << 34)
        raise AssertionError("unreachable")
