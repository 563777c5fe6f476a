"""How checkpoints of Rein and SoMA are laid out: adapter and decoder, with or without the frozen encoder.

Source: the code that saves them, w1oves/Rein and ysj9909/SoMA; docs/quirks.md#r19.
"""

from __future__ import annotations

import re

from torch import Tensor

from adaptbench.networks.pretrained.published import Layout, Tensors

_ADAPTER = "backbone.reins."
_SPLIT = re.compile(r"\.attn\.([qkv])\.")
#: It is trained without any effect.
_MASK_TOKEN = "backbone.model.mask_token"


def _rein_names(tensors: Tensors) -> dict[str, Tensor]:
    """Our encoder is one level deeper, and the adapter's share has no dimension."""
    found = {}
    for name, tensor in tensors.items():
        inside = name.startswith("backbone.") and not name.startswith((_ADAPTER, "backbone.model."))
        renamed = name.replace("backbone.", "backbone.model.", 1) if inside else name
        found[renamed] = tensor.reshape(()) if name == f"{_ADAPTER}scale" else tensor
    return found


def _soma_names(tensors: Tensors) -> dict[str, Tensor]:
    """Queries, keys and values are layers of the attention itself in the file."""
    return {
        _SPLIT.sub(r".attn.qkv.\1.", name): tensor for name, tensor in tensors.items() if name != _MASK_TOKEN
    }


def _frozen_around_tokens(name: str) -> bool:
    return name.startswith("backbone.model.")


def _frozen_around_components(name: str) -> bool:
    return name.startswith("backbone.model.") and ".lora_" not in name and not name.endswith(".bias")


#: Adapter and decoder, or everything.
REIN_FILES = Layout(
    student={"module.": ""}, teacher={}, others=(), convert=_rein_names, frozen=_frozen_around_tokens
)
#: Adapter, biases and decoder around the whole pretrained matrices, or everything; averages are behind ``module.``.
SOMA_FILES = Layout(
    student={"module.": ""}, teacher={}, others=(), convert=_soma_names, frozen=_frozen_around_components
)
