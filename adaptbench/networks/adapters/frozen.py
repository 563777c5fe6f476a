"""Encoders that are not trained."""

from __future__ import annotations

from typing import Self

from torch import nn


class Frozen(nn.Module):
    """A module that stays in evaluation mode: nothing is dropped, and norms keep their statistics."""

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode, whatever ``mode`` says."""
        return super().train(False)


def freeze(module: nn.Module) -> None:
    """Nothing in ``module`` is trained, and it stays in evaluation mode."""
    module.requires_grad_(False)
    module.__class__ = _frozen(type(module))
    module.eval()


def _frozen(kind: type[nn.Module]) -> type[nn.Module]:
    """The class of frozen modules of a kind."""
    if issubclass(kind, Frozen):
        return kind
    return type(f"Frozen{kind.__name__}", (Frozen, kind), {})
