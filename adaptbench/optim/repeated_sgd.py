"""SGD that updates a tensor several times per step, as happens when an optimiser lists it several times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

#: Whether a second update within a step finds weight decay and momentum of the first one.
Arithmetic: TypeAlias = Literal["torch-0.4", "current"]


class RepeatedSGD(torch.optim.Optimizer):
    """SGD with momentum and weight decay whose groups say how often their tensors are listed (``times``).

    The networks of ADVENT and IntraDA collect their parameters by walking over nested modules, so that their
    optimiser lists most of them three or four times and updates them as often, each time with the same
    gradient.

    With the arithmetic ``torch-0.4``, the framework of these papers, weight decay is added into the stored
    gradient, and so once more with every update of a step. With ``current`` it is not, but in the very first
    step every update starts from an empty momentum buffer.

    Source: code of ADVENT, arXiv 1811.12833; docs/quirks.md#a19.
    """

    def __init__(
        self,
        params: Iterable[Mapping[str, Any]],
        lr: float,
        momentum: float,
        arithmetic: Arithmetic = "torch-0.4",
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "times": 1}
        super().__init__([dict(group) for group in params], defaults)
        self.arithmetic = arithmetic

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Updates all tensors that have a gradient."""
        for group in self.param_groups:
            tensors = [tensor for tensor in group["params"] if tensor.grad is not None]
            if tensors:
                self._update(tensors, group)

    def _update(self, tensors: list[Tensor], group: Mapping[str, Any]) -> None:
        first = "momentum_buffer" not in self.state[tensors[0]]
        for tensor in tensors:
            self.state[tensor].setdefault("momentum_buffer", torch.zeros_like(tensor))
        buffers = [self.state[tensor]["momentum_buffer"] for tensor in tensors]
        gradients = [tensor.grad.clone() for tensor in tensors if tensor.grad is not None]
        for time in range(group["times"]):
            if time and self.arithmetic == "current":
                gradients = [tensor.grad.clone() for tensor in tensors if tensor.grad is not None]
                if first:
                    torch._foreach_zero_(buffers)
            torch._foreach_add_(gradients, tensors, alpha=group["weight_decay"])
            torch._foreach_mul_(buffers, group["momentum"])
            torch._foreach_add_(buffers, gradients)
            torch._foreach_add_(tensors, buffers, alpha=-group["lr"])
