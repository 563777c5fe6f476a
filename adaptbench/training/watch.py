"""A hook that looks at what a method shows of its training steps, see `adaptbench.contracts.method.Method.observe`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from mmengine.hooks import Hook
from torch import Tensor

#: What a method showed in one step: parts (``image``, ``label``) by group (``pseudo``, ``mixed``).
Shown: TypeAlias = dict[str, dict[str, Tensor]]


class Watch(Hook):  # type: ignore[misc]  # mmengine is untyped
    """Collects what is shown in one of ``every`` iterations and in the last one, and uses it after the step.

    In all other iterations nobody watches, and nothing is kept.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._shown: Shown = {}

    def use(self, runner: Any, batch: Any, log: dict[str, Tensor], shown: Shown) -> None:
        """Called after the step with all that the method showed in it; entries may be added to ``log``."""
        raise NotImplementedError

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Watches the method."""
        if runner.due(self._every):
            runner.model.observers.append(self._see)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stops watching and uses what was seen."""
        if runner.due(self._every):
            runner.model.observers.remove(self._see)
            shown, self._shown = self._shown, {}
            self.use(runner, data_batch, outputs, shown)

    def _see(self, group: str, parts: Mapping[str, Tensor]) -> None:
        self._shown.setdefault(group, {}).update(parts)
