"""Notices that a training has diverged: at which iteration, with which images, and what is left of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn

from adaptbench.contracts.method import Optimizers
from adaptbench.data.batch import Batch
from adaptbench.errors import RunStateError
from adaptbench.optim.optimizer import by_name


class DivergenceWatch:
    """Looks whether a training is finite: what is optimised after every iteration, everything before a checkpoint.

    Losses are not looked at: some are no number where nothing counts, and then have no gradient. One that has makes
    the parameters no numbers in the same iteration.

    Args:
        optimizers: whose parameters are watched.
        file: the checkpoint.
    """

    def __init__(self, optimizers: Optimizers, file: Path) -> None:
        groups = (group for one in by_name(optimizers).values() for group in one.optimizer.param_groups)
        self._optimised = list({id(p): p for group in groups for p in group["params"]}.values())
        self._file = file
        self._noted: list[tuple[str, Tensor]] = []

    def note(self, batch: Batch) -> None:
        """Notes how the parameters are after the iteration of ``batch``; a GPU is not waited for."""
        step = f"iteration {batch.iteration} (counted from 0), a step on {_images(batch)}"
        norm = nn.utils.get_total_norm([parameter.detach() for parameter in self._optimised])
        self._noted.append((step, norm))

    def require_finite(self, saved: int | None) -> None:
        """Raises RunStateError for the first iteration that was noted and left a parameter that is no finite number.

        Args:
            saved: iterations in the last checkpoint; None = there is none.
        """
        noted, self._noted = self._noted, []
        for step, norm in noted:
            if not (bool(norm.isfinite()) or _all_finite(self._optimised)):  # squares may be too large alone
                raise self._error(f"weights are not finite after {step}", saved)

    def require_finite_state(self, tensors: Mapping[str, Tensor], iteration: int, saved: int | None) -> None:
        """Raises RunStateError if anything that a checkpoint is to hold is not finite: teacher, buffers, optimisers."""
        broken = [name for name, tensor in tensors.items() if not _all_finite([tensor])]
        if broken:
            more = f" and {len(broken) - 1} more are" if len(broken) > 1 else " is"
            raise self._error(f"{broken[0]}{more} not finite at iteration {iteration}", saved)

    def _error(self, what: str, saved: int | None) -> RunStateError:
        kept = "There is no checkpoint yet."
        if saved is not None:
            kept = f"The last good checkpoint is that of iteration {saved}: {self._file}."
        return RunStateError(
            f"Training diverged: {what}. {kept} A lower learning_rate, a longer warmup or another seed may help."
        )


def _all_finite(tensors: Iterable[Tensor]) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def _images(batch: Batch) -> str:
    labelled = f"the labelled images {', '.join(batch.labelled.names)}"
    return (
        labelled if batch.target is None else f"{labelled} and the target's {', '.join(batch.target.names)}"
    )
