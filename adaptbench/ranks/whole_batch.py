"""What layers compute from a whole batch although they see a rank's share of it: statistics, and what is dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from adaptbench.errors import UsageError
from adaptbench.ranks.batch_norm import batch_norm
from adaptbench.ranks.share import Share

#: The share that is computed at the moment; None outside of networks, and in a training of one process.
computed: ContextVar[Share | None] = ContextVar("computed", default=None)

_DROPOUTS: Final = (
    functional.dropout,
    functional.dropout1d,
    functional.dropout2d,
    functional.dropout3d,
    functional.alpha_dropout,
    functional.feature_alpha_dropout,
)
#: Draws that are not made for whole batches; a network that needs one cannot be shared.
_REFUSED: Final = {
    *(torch.rand, torch.randn, torch.randint, torch.randperm, torch.rand_like, torch.randn_like),
    *(torch.normal, torch.bernoulli, torch.multinomial, torch.poisson),
    *(Tensor.uniform_, Tensor.normal_, Tensor.random_, Tensor.exponential_),
}


class WholeBatch(TorchFunctionMode):
    """Within it batch norm takes the statistics of all ranks, and dropout is drawn for all images alike.

    Every rank draws for the whole batch and uses the rows of its images, so that generators move as in one process.
    """

    def __init__(self, share: Share) -> None:
        super().__init__()
        self._share = share

    def __enter__(self) -> WholeBatch:
        self._token = computed.set(self._share)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        computed.reset(self._token)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if self._share.repeated:
            return func(*args, **options)
        if func is functional.batch_norm:
            return self._batch_norm(*args, **options)
        if func in _DROPOUTS:
            return self._dropout(func, *args, **options)
        if func is Tensor.bernoulli_:
            return args[0].copy_(self._share.own_rows(self._whole(args[0]).bernoulli_(*args[1:], **options)))
        if (func in _REFUSED and options.get("generator") is None) or options.get("dropout_p"):
            name = getattr(func, "__name__", func)
            raise UsageError(
                f"--devices: within a network {name} draws for a share of a batch, so that numbers would not be those "
                "of one device. Use one device, or draw outside of the network."
            )
        return func(*args, **options)

    def _whole(self, own: Tensor) -> Tensor:
        """An empty tensor with the rows of all ranks."""
        rows = self._share.blocks(own.shape[0]) * self._share.images
        return own.new_empty(rows, *own.shape[1:])

    def _batch_norm(
        self,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        known = (running_mean, running_var, weight, bias)
        if not training:
            return functional.batch_norm(input, *known, training, momentum, eps)
        return batch_norm(input, *known, momentum, eps, self._share)

    def _dropout(
        self,
        func: Callable[..., Tensor],
        input: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        if not training or p == 0:
            return input
        if func not in (functional.dropout, functional.dropout2d):
            raise UsageError(f"--devices: {func.__name__} cannot be drawn for whole batches. Use one device.")
        ones = torch.ones_like(self._whole(input if func is functional.dropout else input[:, :, :1, :1]))
        kept = self._share.own_rows(func(ones, p, True))
        return input.mul_(kept) if inplace else input * kept


def recomputing() -> dict[str, Any]:
    """Options of `torch.utils.checkpoint` with which a network computes again what it computed of this share."""
    share = computed.get()
    return {} if share is None else {"context_fn": lambda: (nullcontext(), WholeBatch(share))}


def whole_rows(rows: int) -> int:
    """Of a tensor in a network with that many rows, those of all ranks together."""
    share = computed.get()
    return rows if share is None or share.repeated else share.blocks(rows) * share.images


def own_rows(whole: Tensor) -> Tensor:
    """The rows of the images that are computed, of a tensor that was made for the whole batch."""
    share = computed.get()
    return whole if share is None else share.own_rows(whole)
