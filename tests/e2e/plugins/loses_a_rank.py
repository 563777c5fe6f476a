"""A method of which a rank is killed."""

from __future__ import annotations

import os
import signal

from torch import Tensor, distributed

from adaptbench.contracts.method import Optimizers
from adaptbench.data.batch import Batch
from methods.source_only import SourceOnly


class LosesARank(SourceOnly):
    """The second rank is killed in the third iteration."""

    name = "loses_a_rank"
    title = "Loses a rank"
    paper = None
    tags = ()

    def train_step(self, batch: Batch, optimizers: Optimizers) -> dict[str, Tensor]:
        if batch.iteration == 2 and distributed.is_initialized() and distributed.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().train_step(batch, optimizers)
