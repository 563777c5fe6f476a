"""A method trained by several ranks: its parts compute shares of batches, and gradients are added up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, distributed, nn
from torch.utils._pytree import tree_map

from adaptbench.adaptation.parts import parts
from adaptbench.errors import UsageError
from adaptbench.optim.optimizer import by_name
from adaptbench.ranks.group import Ranks
from adaptbench.ranks.rows import require_rows, rows_of
from adaptbench.ranks.share import Share, join, split
from adaptbench.ranks.whole_batch import WholeBatch


def share_work(method: nn.Module, optimizers: OptimWrapper | OptimWrapperDict, ranks: Ranks) -> None:
    """Lets every part of ``method`` compute this rank's share of what it is given, and steps sum up all shares."""
    if ranks.count == 1:
        return
    owners: dict[Tensor, _Shared] = {}
    for part in parts(method):
        part.forward = shared = _Shared(part.forward, ranks)
        owners.update(dict.fromkeys(part.parameters(), shared))
    summed = set[Tensor]()
    for wrapper in by_name(optimizers).values():
        listed = [p for group in wrapper.optimizer.param_groups for p in group["params"]]
        trained = {p: owners.get(p) for p in dict.fromkeys(listed) if p not in summed}
        summed.update(trained)
        wrapper.step = _summed(wrapper.step, trained)


class _Shared:
    """The forward pass of a part, from a whole batch to a whole batch.

    Attributes:
        called: whether it was ever called.
    """

    def __init__(self, forward: Callable[..., Any], ranks: Ranks) -> None:
        self._forward, self._ranks = forward, ranks
        self.called = False

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        self.called = True
        share = Share(self._ranks.rank, self._ranks.count, rows_of((inputs, named), WholeBatch.option))
        own, own_named = tree_map(lambda value: _moved(split, value, share), (inputs, named))
        with WholeBatch(share):
            outputs = self._forward(*own, **own_named)
        require_rows(outputs, len(share.own()), WholeBatch.option)
        return tree_map(lambda value: _moved(join, value, share), outputs)


def _moved(move: Callable[[Tensor, Share], Tensor], value: Any, share: Share) -> Any:
    return move(value, share) if isinstance(value, Tensor) else value


def _summed(step: Callable[..., None], trained: Mapping[Tensor, _Shared | None]) -> Callable[..., None]:
    """A step of an optimiser with the gradients of all ranks.

    Raises:
        UsageError: a gradient came about outside of the parts, where every rank computes the whole batch.
    """

    @wraps(step)  # schedulers mark what they count
    def summed(*inputs: Any, **named: Any) -> None:
        moved = {p: owner for p, owner in trained.items() if p.grad is not None}
        if any(owner is None or not owner.called for owner in moved.values()):
            raise UsageError(
                "--devices: the method trains weights that are in no module that is called with a batch. "
                "Use one device, or call the module that holds them (docs/add-a-method.md)."
            )
        _sum_up([p.grad for p in moved if p.grad is not None])
        step(*inputs, **named)

    return summed


@torch.no_grad()
def _sum_up(gradients: list[Tensor]) -> None:
    """Adds up gradients over all ranks, in one message."""
    if gradients:
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, summed in zip(gradients, flat.split(sizes), strict=True):  # type: ignore[no-untyped-call]
            gradient.copy_(summed.view_as(gradient))
