"""The parts of a method that hold weights; what lies between them is arithmetic on their outputs."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn


class Assembly(nn.Module):
    """Puts parts together: its children hold the weights, and its own arithmetic is always in float32."""


#: Modules without a forward pass of their own that has weights.
_JOINED = (Assembly, nn.ModuleDict, nn.ModuleList)


def parts(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost modules below ``module`` that hold weights and are no `Assembly`, in order, each once.

    Encoders, decoders and discriminators, also those in lists. Losses, soft labels, thresholds, averages of weights,
    fused scales and prototypes are outside.
    """
    seen: set[nn.Module] = set()
    for child in module.children():
        for part in parts(child) if isinstance(child, _JOINED) else (child,):
            if part not in seen and next(part.parameters(), None) is not None:
                seen.add(part)
                yield part
