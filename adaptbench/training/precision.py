"""Mixed precision: parts of a method compute in a short format, and all that lies between them in float32.

`torch.autocast` is around every part of a method (`adaptbench.adaptation.parts`): products and convolutions take bf16
or fp16, running statistics and weights stay in float32, and what comes out is float32 again. So no loss, soft label,
threshold, prototype or average of weights is ever computed in a short format, whatever the method.

Losses in fp16 are scaled, so that small gradients do not vanish. mmengine's AmpOptimWrapper would be the wrapper for
it, but it refuses a CPU, and each has a scale of its own, where adversarial methods send one gradient through several
optimisers; so torch's scaler is shared here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.utils._pytree import tree_map

from adaptbench.adaptation.parts import parts
from adaptbench.contracts.precision import Precision
from adaptbench.errors import RunStateError

_SHORT: Final = {"bf16": torch.bfloat16, "fp16": torch.float16}
_SCALER: Final = "loss_scaler"


def allow_tf32(*, allowed: bool) -> None:
    """Whether products and convolutions in float32 may round their inputs to TF32, in this process."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def require_available(precision: Precision, device: torch.device) -> None:
    """Raises RunStateError unless ``device`` computes in ``precision``."""
    if device.type != "cuda" or precision in ("float32", "fp16"):
        return
    name, capability = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
    if capability < (8, 0):
        raise RunStateError(
            f"--precision {precision}: {name} has no such format (compute capability "
            f"{capability[0]}.{capability[1]}, 8.0 is needed). Use float32 or fp16."
        )


@contextmanager
def products_in(precision: Precision) -> Iterator[None]:
    """Within the block, the one of a training step, products in float32 are rounded to TF32 if that is asked for."""
    allow_tf32(allowed=precision == "tf32")
    try:
        yield
    finally:
        allow_tf32(allowed=False)


def train_in(precision: Precision, method: nn.Module, device: torch.device) -> None:
    """Makes the parts of ``method``, which lie on ``device``, compute in ``precision``; see `products_in` for tf32."""
    if precision in _SHORT:
        for part in parts(method):
            part.forward = _Autocast(part.forward, device.type, _SHORT[precision])


class _Autocast:
    """A forward pass in a short format, from float32 to float32."""

    def __init__(self, forward: Callable[..., Any], device: str, dtype: torch.dtype) -> None:
        self._forward, self._device, self._dtype = forward, device, dtype

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        with torch.autocast(self._device, self._dtype):
            outputs = self._forward(*inputs, **named)
        return tree_map(_as_float32, outputs)


def _as_float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in _SHORT.values() else value


def scaled(
    optimizers: OptimWrapper | OptimWrapperDict, precision: Precision, device: torch.device
) -> OptimWrapper | OptimWrapperDict:
    """The optimisers as they are, or for fp16 with one scale of the loss for all of them."""
    if precision != "fp16":
        return optimizers
    scaler = GradScaler(device.type)
    if not isinstance(optimizers, OptimWrapperDict):
        return _ScaledOptimWrapper(optimizers.optimizer, scaler, updates=True)
    last = list(optimizers.keys())[-1]
    wrapped = {
        name: _ScaledOptimWrapper(one.optimizer, scaler, updates=name == last)
        for name, one in optimizers.items()
    }
    return OptimWrapperDict(**wrapped)


class _ScaledOptimWrapper(OptimWrapper):  # type: ignore[misc]  # mmengine is untyped
    """An optimiser whose gradients are those of a scaled loss; a step with an infinite one is left out.

    Args:
        scaler: shared by all optimisers of a method.
        updates: whether this one is stepped last, and then the scale is adapted.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, scaler: GradScaler, *, updates: bool) -> None:
        super().__init__(optimizer)
        self._scaler, self._updates = scaler, updates

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Gradients of the scaled loss."""
        super().backward(self._scaler.scale(loss), **kwargs)

    def step(self, **kwargs: Any) -> None:
        """A step with the gradients of the loss as it is."""
        self._scaler.step(self.optimizer, **kwargs)
        if self._updates:
            self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Of the optimiser, and the scale."""
        return {**super().state_dict(), _SCALER: self._scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What `state_dict` gave."""
        rest = dict(state_dict)
        self._scaler.load_state_dict(rest.pop(_SCALER))
        super().load_state_dict(rest)
