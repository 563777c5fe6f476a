"""Batch norms that are never trained and keep the statistics they were loaded with."""

from __future__ import annotations

from typing import Self

from torch import nn


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """A fixed scale and shift per channel: running statistics in training, too, and no epsilon.

    Source: docs/quirks.md#a7.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features, eps=0.0)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode."""
        return super().train(False)


def freeze_norms(module: nn.Module) -> None:
    """Puts a `FrozenBatchNorm2d` with the same weights in the place of every batch norm in ``module``."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(child.num_features)
            frozen.load_state_dict(child.state_dict())
            setattr(module, name, frozen)
        else:
            freeze_norms(child)
