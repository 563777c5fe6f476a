"""Snapshots of a training, from which one is chosen later: each is what the training would have ended with there.

They change nothing in the training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.hooks import Hook

from adaptbench.training import checkpoint, method_state

#: Snapshots of a training, equally far apart; the last one is the last iterate.
COUNT = 20


class Snapshots(Hook):  # type: ignore[misc]
    """Writes ``NNNNNN.safetensors``, named by the number of iterations, into the folder of the training."""

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Keeps the method's finished state where one is due."""
        iterations = runner.iter + 1
        if iterations in due(runner.max_iters):
            state = runner.finished_state()  # of every rank, since a method may call its networks
            if runner.rank == 0:
                tensors, facts = method_state.written_state(runner.model, state)
                file = file_of(Path(runner.work_dir), iterations)
                checkpoint.save(file, tensors, {**facts, "iterations": iterations})


def due(max_iters: int) -> list[int]:
    """After which iterations a snapshot is kept, in order."""
    return sorted({max(1, round(max_iters * part / COUNT)) for part in range(1, COUNT + 1)})


def file_of(folder: Path, iterations: int) -> Path:
    """The snapshot after ``iterations``."""
    return folder / f"{iterations:06d}.safetensors"
