"""Checkpoints of VFM-UDA's authors."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from adaptbench.networks.pretrained.published import Layout

#: The mask token has a second name there.
_TWICE = "token_masking.mask_token"


def our_name(name: str) -> str:
    """Our name of a tensor of their network: a timm encoder, its mask token beside it, and the decoder."""
    if name in ("encoder.mask_token", _TWICE):
        return "backbone.mask_token"
    part, _, inner = name.partition(".")
    return f"backbone.model.{inner}" if part == "encoder" else f"decode_head.{name}"


def _ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {our_name(name): tensor for name, tensor in tensors.items()}


VFM_UDA = Layout(
    student={"network.": ""},
    teacher={"network_ema.": ""},
    others=("network_feature_extractor.",),
    convert=_ours,
)
