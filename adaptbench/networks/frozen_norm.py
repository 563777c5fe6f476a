"""Batch norms that keep the statistics they were loaded with, and may be frozen altogether."""

from __future__ import annotations

from typing import Self

from torch import nn

#: Epsilon of ResNets, which the published code leaves out. Encoders that state another one, like EfficientNet, have
#: channels of variance 0, and were pretrained with it.
_USUAL_EPSILON = 1e-5


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """A batch norm that stays in evaluation mode: a fixed scale and shift per channel.

    Source: docs/quirks.md#a7.
    """

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode, whatever ``mode`` says."""
        return super().train(False)


def keep_statistics(module: nn.Module) -> None:
    """Every batch norm in ``module`` stays in evaluation mode; its weights are trained.

    It goes on with whatever else it does, like the activations in timm's norms.
    """
    for part in _norms(module):
        part.__class__ = _frozen(type(part))
        part.eval()


def freeze_norms(module: nn.Module) -> None:
    """Every batch norm in ``module`` stays in evaluation mode, and its weights are not trained.

    The epsilon is dropped, as published, unless the encoder states one of its own, above that of ResNets.
    """
    keep_statistics(module)
    for part in _norms(module):
        part.eps = part.eps if part.eps > _USUAL_EPSILON else 0.0
        part.requires_grad_(False)


def _norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]


_KINDS: dict[type[nn.BatchNorm2d], type[nn.BatchNorm2d]] = {nn.BatchNorm2d: FrozenBatchNorm2d}


def _frozen(kind: type[nn.BatchNorm2d]) -> type[nn.BatchNorm2d]:
    """The class of frozen norms of a kind, made once."""
    if issubclass(kind, FrozenBatchNorm2d):
        return kind
    if kind not in _KINDS:
        _KINDS[kind] = type(f"Frozen{kind.__name__}", (FrozenBatchNorm2d, kind), {})
    return _KINDS[kind]
