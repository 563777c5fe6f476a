"""Notices that a training has diverged: at which iteration, with which images, and what is left of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor, nn

from adaptbench.data.batch import Batch
from adaptbench.errors import RunStateError


class DivergenceWatch:
    """Looks after every iteration whether all that a method holds is finite: student, teacher, discriminators, buffers.

    Losses are not looked at: some are no number where nothing counts, and then have no gradient. One that has makes
    the parameters no numbers in the same iteration.

    Args:
        method: what is trained.
        file: its checkpoint.
    """

    def __init__(self, method: nn.Module, file: Path) -> None:
        self._method = method
        self._file = file
        self._noted: list[tuple[str, Tensor]] = []

    def note(self, batch: Batch) -> None:
        """Notes how the method is after the iteration of ``batch``; a GPU is not waited for."""
        step = f"iteration {batch.iteration} (counted from 0), a step on {_images(batch)}"
        self._noted.append((step, largest(self._method.state_dict().values())))

    def require_finite(self, saved: int | None) -> None:
        """Raises RunStateError for the first iteration that was noted and left something that is no finite number.

        Args:
            saved: iterations in the last checkpoint; None = there is none.
        """
        noted, self._noted = self._noted, []
        for step, value in noted:
            if not math.isfinite(value):
                raise self.error(f"weights are not finite after {step}", saved)

    def error(self, what: str, saved: int | None) -> RunStateError:
        """Says what is not finite, and which checkpoint is left."""
        kept = "There is no checkpoint yet."
        if saved is not None:
            kept = f"The last good checkpoint is that of iteration {saved}: {self._file}."
        return RunStateError(
            f"Training diverged: {what}. {kept} A lower learning_rate, a longer warmup or another seed may help."
        )


def largest(tensors: Iterable[Tensor]) -> Tensor:
    """The largest absolute value of all floating-point ``tensors``, NaN where there is one. Shape: scalar."""
    return nn.utils.get_total_norm([t for t in tensors if t.is_floating_point()], math.inf)


def _images(batch: Batch) -> str:
    labelled = f"the labelled images {', '.join(batch.labelled.names)}"
    return (
        labelled if batch.target is None else f"{labelled} and the target's {', '.join(batch.target.names)}"
    )
