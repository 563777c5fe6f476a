"""Layers that make queries, keys and values in one product, as layers of their own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adaptbench.errors import UsageError

#: Names of fused layers: a letter for each of the layers that they are made of.
_FUSED = ("qkv", "kv")


class SplitQKV(nn.Module):
    """The layer of an attention that makes queries, keys and values, as three layers; ``letters`` names the parts."""

    def __init__(self, fused: nn.Linear, letters: str = "qkv") -> None:
        super().__init__()
        count = len(letters)
        biases = (None,) * count if fused.bias is None else fused.bias.detach().chunk(count)
        for letter, weight, bias in zip(letters, fused.weight.detach().chunk(count), biases, strict=True):
            self.add_module(letter, linear_of(weight, bias))

    def forward(self, features: Tensor) -> Tensor:
        """Shape: ``(..., channels)`` to ``(..., parts * channels)``: queries, keys, values."""
        return torch.cat([part(features) for part in self.children()], dim=-1)


def split_qkv(encoder: nn.Module) -> None:
    """Splits every linear layer called ``qkv`` or ``kv``, so that each part can have an adapter of its own.

    Raises:
        UsageError: an attention reads the layer's matrix without calling it.
    """
    found = [
        (name, part)
        for name, part in encoder.named_modules()
        if isinstance(part, nn.Linear) and name.rpartition(".")[2] in _FUSED
    ]
    for name, layer in found:
        parent, _, letters = name.rpartition(".")
        _require_called(encoder.get_submodule(parent), name)
        encoder.set_submodule(name, SplitQKV(layer, letters))


def linear_of(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A layer with copies of these values. Shape: ``(out, in)`` and ``(out,)``."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, weight.device, weight.dtype)
    layer.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    return layer


def _require_called(attention: nn.Module, name: str) -> None:
    """Timm's attention with rotary positions multiplies by the matrix itself where it keeps the bias apart."""
    if getattr(attention, "q_bias", None) is not None and not getattr(attention, "qkv_bias_separate", True):
        raise UsageError(
            f"The layer {name} of this encoder is not called: its attention reads the matrix, so that an adapter of "
            "queries, keys and values would have no effect. Use adapter=rein, or a network like daformer-dinov2_large."
        )
