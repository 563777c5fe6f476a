"""What happens inside a training step, compared with what was recorded."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor

from adaptbench.contracts.method import LossGroup, Method, total_loss
from adaptbench.data.batch import Batch

from .case import Case

_DISTANCE = "source.loss_feature_distance"

#: Names of recorded arrays -> group and part under which methods show them (`Method.observe`).
_SHOWN: Mapping[str, tuple[str, str]] = {
    "pseudo_label": ("pseudo", "label"),
    "pseudo_weight": ("pseudo", "weight"),
    "class_mask": ("mixed", "mask"),
    "mixed_label": ("mixed", "label"),
    "mixed_weight": ("mixed", "weight"),
    "mixed_img": ("mixed", "image"),
    "masked_img": ("masked", "image"),
    "masked_weight": ("masked", "weight"),
    "fd_mask": ("source", "compared_features"),
}

#: Arrays that an arg-max or a threshold decided.
_DECIDED = frozenset({"pseudo_label", "pseudo_weight", "mixed_label", "mixed_weight", "masked_weight"})


class Watch:
    """Looks over the shoulder of one training step: what the method shows of it, and gradients.

    The reference back-propagates source loss and feature distance one after the other, ours at once. The
    gradient norm that it has in between is that of the source loss alone, which is computed apart here.

    Args:
        case: the trajectory.
        method: what is trained.
        iteration: the iteration, counted from 0.
    """

    def __init__(self, case: Case, method: Method, iteration: int) -> None:
        self._case = case
        self._method = method
        self._prefix = f"out/it{iteration}/"
        self._norms: list[Tensor] = []
        self._gradients: dict[str, Tensor] = {}
        self._seen: dict[tuple[str, str], Tensor] = {}
        self._group: LossGroup = {}

    @contextlib.contextmanager
    def watching(self, optimizers: OptimWrapper) -> Iterator[None]:
        """Within the block, the method and its optimiser report to this object."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(self._method, "observers", [self._see]))

            def replace(owner: object, name: str, wrapper: Callable[[Any], Any]) -> None:
                stack.enter_context(mock.patch.object(owner, name, wrapper(getattr(owner, name))))

            replace(self._method, "losses", self._noting_groups)
            replace(optimizers, "backward", self._noting_norms)
            replace(optimizers, "step", self._noting_gradients)
            yield

    def compare(self, decisions: bool) -> None:
        """Compares what was seen and recorded.

        Args:
            decisions: also what an arg-max or a threshold decided. In float32, after some steps, rounding that
                differs between machines and numbers of threads may tip a pixel at a tie.

        Raises:
            AssertionError: something is wrong.
        """
        self._case.compare(f"{self._prefix}grad_norm_after_each_backward", torch.stack(self._norms))
        for name, shown in _SHOWN.items():
            if name in _DECIDED and not decisions:
                continue
            for recorded, step in self._recorded(name):
                self._case.compare(recorded, self._seen[shown][..., ::step, ::step])
        for name in self._case.arrays(f"{self._prefix}grad/"):
            self._case.compare(f"{self._prefix}grad/{name}", self._gradients[name])

    def _recorded(self, name: str) -> Iterator[tuple[str, int]]:
        """Arrays of that name, and of which rows and columns they are: every one, or every N-th."""
        for array in self._case.arrays(f"{self._prefix}{name}"):
            if found := re.fullmatch(r"(?:_stride(\d+))?", array):
                yield f"{self._prefix}{name}{array}", int(found[1] or 1)

    def _see(self, group: str, parts: Mapping[str, Tensor]) -> None:
        self._seen.update({(group, part): value for part, value in parts.items()})

    def _noting_groups(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def losses(batch: Batch) -> Iterator[LossGroup]:
            for group in call(batch):
                self._group = group
                yield group

        return losses

    def _noting_norms(self, call: Callable[..., Any]) -> Callable[..., Any]:
        recorded = len(self._case.all_arrays[f"{self._prefix}grad_norm_after_each_backward"])
        apart = recorded > len(self._case.json["passes"])

        def backward(loss: Tensor) -> None:
            if apart and _DISTANCE in self._group:
                self._norms.append(self._norm_without_distance())
            call(loss)
            self._norms.append(_norm([p.grad for p in self._method.student.parameters()]))

        return backward

    def _norm_without_distance(self) -> Tensor:
        loss = total_loss({name: value for name, value in self._group.items() if name != _DISTANCE})
        parameters = list(self._method.student.parameters())
        return _norm(torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True))

    def _noting_gradients(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def step() -> None:
            named = self._method.student.named_parameters()
            self._gradients = {name: p.grad.clone() for name, p in named if p.grad is not None}
            call()

        return step


def _norm(gradients: Any) -> Tensor:
    """L2 norm of all gradients together."""
    return torch.stack([g.norm() for g in gradients if g is not None]).norm()
