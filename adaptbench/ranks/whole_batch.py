"""What layers compute from a whole batch although they see a rank's share of it: statistics, and what is dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from adaptbench.errors import UsageError
from adaptbench.ranks.batch_norm import batch_norm
from adaptbench.ranks.share import Share

#: What is computed at the moment; None outside of networks, and where they compute whole batches.
computed: ContextVar[WholeBatch | None] = ContextVar("computed", default=None)

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


#: What a batch norm has: running mean and variance, weight and bias.
Known: TypeAlias = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]


class WholeBatch(TorchFunctionMode):
    """Within it batch norm takes the statistics of all ranks, and dropout is drawn for all images alike.

    Every rank draws for the whole batch and uses the rows of its images, so that generators move as in one process.
    """

    #: What made shares of batches, and what to do where that cannot be.
    option, way_out = "--devices", "Use one device"

    def __init__(self, share: Share) -> None:
        super().__init__()
        self._share = share

    def again(self) -> WholeBatch:
        """For what a network computes again of this share, from where it is now."""
        return type(self)(self._share)

    def drawn(self, draw: Callable[[int], Tensor], rows: int) -> Tensor:
        """See `drawn_rows`."""
        return self._share.own_rows(draw(self._share.whole_rows(rows)))

    def __enter__(self) -> WholeBatch:
        self._token = computed.set(self)
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
        if (func in _REFUSED and self._refuses(options)) or options.get("dropout_p"):
            name = getattr(func, "__name__", func)
            raise UsageError(
                f"{self.option}: within a network {name} draws for a share of a batch, so that numbers would not be "
                f"those of the whole batch. {self.way_out}, or draw outside of the network."
            )
        return func(*args, **options)

    def _refuses(self, options: Mapping[str, Any]) -> bool:
        """Whether a draw with these options is refused; one from a generator of its own may be of a whole batch."""
        return options.get("generator") is None

    def _whole(self, own: Tensor) -> Tensor:
        """An empty tensor with the rows of all ranks."""
        return own.new_empty(self._share.whole_rows(own.shape[0]), *own.shape[1:])

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
        return self._by_the_batch(input, known, momentum, eps)

    def _by_the_batch(self, input: Tensor, known: Known, momentum: float, eps: float) -> Tensor:
        """Batch norm by the statistics of the whole batch; ``known`` are running ones, weight and bias."""
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
            raise UsageError(
                f"{self.option}: {func.__name__} cannot be drawn for whole batches. {self.way_out}."
            )
        ones = torch.ones_like(self._whole(input if func is functional.dropout else input[:, :, :1, :1]))
        kept = self._share.own_rows(func(ones, p, True)).clone()  # the rest is not kept for the backward pass
        return input.mul_(kept) if inplace else input * kept


def recomputing() -> dict[str, Any]:
    """Options of `torch.utils.checkpoint` with which a network computes again what it computed of this share."""
    mode = computed.get()
    return {} if mode is None else {"context_fn": lambda: (nullcontext(), mode.again())}


def drawn_rows(draw: Callable[[int], Tensor], rows: int) -> Tensor:
    """Of what is drawn for the whole batch, the rows of the images that are computed: as many as ``rows``.

    ``draw`` is told the rows of the whole batch.
    """
    mode = computed.get()
    return draw(rows) if mode is None else mode.drawn(draw, rows)
