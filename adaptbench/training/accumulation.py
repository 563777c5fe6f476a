"""A step in several parts: networks compute shares of every batch one after the other, and gradients add up.

What a network gives is put together again, so that everything between networks (losses, mixed images, thresholds,
prototypes) is computed from whole batches. Of a share nothing is kept for its backward pass but what goes in: when its
gradient is due, it is computed again. So no more than the activations of one share are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import chain
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.random import fork_rng
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten
from torch.utils.checkpoint import checkpoint

from adaptbench.adaptation.parts import parts
from adaptbench.errors import UsageError
from adaptbench.ranks.rows import require_rows, rows_of
from adaptbench.ranks.share import Share
from adaptbench.ranks.turns import Turn, put_together, shares

#: Values that are looked at where something is computed again.
_LOOKED_AT: Final = 64
#: What kernels of other orders and short formats round, as a share of the size of a tensor; more is another result.
_ROUNDING: Final = 1e-2


class Accumulation:
    """Lets every network of ``method`` compute its batches in ``count`` parts.

    Args:
        method: its parts lie on their device, and have not been called yet.
        count: 1 leaves them as they are.
        say: told of each network that is computed whole, and why.
    """

    def __init__(self, method: nn.Module, count: int, say: Callable[[str], None]) -> None:
        self._method, self._say = type(method).__name__, say
        self._whole: set[str] = set()
        self._trained = self._in_turns = False
        names = {module: name for name, module in method.named_modules()}
        for part in parts(method) if count > 1 else ():
            part.forward = _InTurns(names[part], part, count, self)

    def require_turns(self) -> None:
        """Raises UsageError where networks have computed with gradients, and always whole."""
        if self._trained and not self._in_turns:
            raise UsageError(
                f"--accumulate: nothing of a step of {self._method} can be computed in parts, as its networks take "
                "statistics of whole batches (batch norm), or get single images. Leave it out."
            )

    def note(self, name: str, *, turns: int, statistics: bool) -> None:
        """A network computes with gradients in so many turns; whole where its batch norms take statistics."""
        self._trained = True
        self._in_turns |= turns > 1
        if statistics and name not in self._whole:
            self._whole.add(name)
            self._say(
                f"--accumulate: {name} is computed whole, as its batch norms take statistics of the batch."
            )


class _InTurns:
    """The forward pass of a part, share by share; the first time it is looked whether that is the pass of a batch."""

    def __init__(self, name: str, part: nn.Module, count: int, accumulation: Accumulation) -> None:
        self._name, self._part, self._count, self._accumulation = name, part, count, accumulation
        self._forward, self._looked = part.forward, False

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        statistics = _takes_statistics(self._part)
        taken = [] if statistics else shares(self._count, rows_of((inputs, named), Turn.option))
        if torch.is_grad_enabled():
            self._accumulation.note(self._name, turns=len(taken), statistics=statistics)
        if len(taken) < 2:
            return self._forward(*inputs, **named)
        draws: list[Tensor] = []
        expected = None if self._looked else self._at_once(taken[0].images, draws, inputs, named)
        outputs = list(self._turns(taken, draws, inputs, named))
        joined = tree_map(lambda *each: _whole(each, taken), *outputs)
        if not self._looked:
            self._require_equal(joined, expected)
            self._looked = True
        return joined

    @torch.no_grad()
    def _at_once(self, images: int, draws: list[Tensor], inputs: Any, named: Any) -> Any:
        """What the part gives for the whole batch, with the draws that the turns will make."""
        with fork_rng(_gpus(tree_leaves((inputs, named)))):
            return _Pass(self._forward, self._part, Share(0, 1, images), draws)(*inputs, **named)

    def _require_equal(self, joined: Any, expected: Any) -> None:
        pairs = zip(tree_leaves(joined), tree_leaves(expected), strict=True)
        if any(_differs(one, other, _ROUNDING) for one, other in pairs if isinstance(one, Tensor)):
            raise UsageError(
                f"--accumulate: {self._name} gives other values for parts of a batch than for all of it, so that what "
                "it gives for an image hangs on the others. Leave it out."
            )

    def _turns(self, taken: list[Share], draws: list[Tensor], inputs: Any, named: Any) -> Iterator[Any]:
        leaves, form = tree_flatten((inputs, named))
        sizes = [len(share.own()) for share in taken]
        split = [_split(leaf, sizes) for leaf in leaves]
        devices = _gpus(leaves)
        for share, own in zip(taken, zip(*split, strict=True), strict=True):
            last = share is taken[-1]
            with nullcontext() if last else fork_rng(devices):  # the next one draws the same
                outputs = self._turn(
                    _Pass(self._forward, self._part, share, draws), *tree_unflatten(own, form)
                )
            yield outputs

    def _turn(self, forward: _Pass, inputs: Any, named: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*inputs, **named)
        return checkpoint(forward, *inputs, use_reentrant=False, early_stop=False, **named)


class _Pass:
    """The forward pass for a share, which comes to the same when it is repeated.

    Raises:
        UsageError: it does not, or would not in a large step, so that gradients would be those of another pass.
    """

    def __init__(
        self, forward: Callable[..., Any], part: nn.Module, share: Share, draws: list[Tensor]
    ) -> None:
        self._forward, self._part, self._share, self._draws = forward, part, share, draws
        self._state = self._versions()
        self._seen: list[Tensor] | None = None

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        self._require_same_state("were changed after it had computed, before its gradients were due")
        with Turn(self._share, self._draws):
            outputs = self._forward(*inputs, **named)
        self._require_same_state("are changed when it computes")
        require_rows(outputs, len(self._share.own()), Turn.option)
        self._require_same(outputs)
        return outputs

    def _versions(self) -> list[int]:
        return [tensor._version for tensor in chain(self._part.parameters(), self._part.buffers())]

    def _require_same_state(self, otherwise: str) -> None:
        if self._versions() != self._state:
            raise UsageError(
                f"--accumulate: weights or buffers of a {type(self._part).__name__} {otherwise}, so that parts of a "
                "batch would see others than a whole batch does. Leave it out."
            )

    def _require_same(self, outputs: Any) -> None:
        found = [_sample(value) for value in tree_leaves(outputs) if isinstance(value, Tensor)]
        if self._seen is None:
            self._seen = found
        elif any(_differs(one, other, _again(one)) for one, other in zip(found, self._seen, strict=True)):
            raise UsageError(
                f"--accumulate: a {type(self._part).__name__} does not come to the same when it computes the same "
                "again for its gradients: it draws random numbers that are not torch's, was put into another mode, or "
                "changes its input. Leave --accumulate out (docs/add-a-method.md)."
            )


def _takes_statistics(part: nn.Module) -> bool:
    """Whether a batch norm of it does now."""
    norms = (module for module in part.modules() if isinstance(module, _BatchNorm))
    return any(norm.training or norm.running_mean is None for norm in norms)


def _split(leaf: Any, sizes: list[int]) -> Sequence[Any]:
    return torch.split(leaf, sizes) if isinstance(leaf, Tensor) else [leaf] * len(sizes)


def _whole(each: tuple[Any, ...], taken: list[Share]) -> Any:
    return put_together(each, taken) if isinstance(each[0], Tensor) else each[0]


def _sample(values: Tensor) -> Tensor:
    """Some of the values, from all over the tensor."""
    flat = values.detach().flatten()
    return flat[:: max(1, len(flat) // _LOOKED_AT)].clone()


def _again(values: Tensor) -> float:
    """What may differ where the same is computed again: nothing on a CPU."""
    return 0.0 if values.device.type == "cpu" else _ROUNDING


def _differs(found: Tensor, expected: Tensor, rounding: float) -> bool:
    """By more than a share of the tensor's size; values that are not finite are found by others."""
    return bool((found.detach() - expected).norm() > rounding * expected.norm())


def _gpus(values: Iterable[Any]) -> set[torch.device]:
    return {value.device for value in values if isinstance(value, Tensor) and value.is_cuda}
