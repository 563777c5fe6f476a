"""The common shape of all networks: a backbone and a decoder, built through mmsegmentation's registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


class Segmentor(nn.Module):
    """Backbone and decoder; parameter names are those of mmsegmentation's ``EncoderDecoder``.

    Args:
        backbone: images to a sequence of feature maps, fine to coarse.
        decode_head: feature maps to logits.
    """

    def __init__(self, backbone: nn.Module, decode_head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.decode_head = decode_head

    def forward(self, image: Tensor) -> Tensor:
        """Logits at the decoder's stride. Shape: ``(B, 3, H, W)`` float to ``(B, C, h, w)`` float."""
        logits: Tensor = self.decode_head(self.backbone(image))
        return logits


@dataclass(frozen=True)
class NetworkSpec:
    """A network plug-in: what it is, and how it is trained when nothing else is stated.

    Attributes:
        name: what users type.
        backbone: mmsegmentation configuration of the backbone.
        decode_head: mmsegmentation configuration of the decoder, without ``num_classes``.
        pretraining: what the backbone's start weights were trained on; ``none`` = random.
        recipe: optimiser settings used where no paper states any.
    """

    name: str
    backbone: Mapping[str, Any]
    decode_head: Mapping[str, Any]
    pretraining: str = "none"
    recipe: Mapping[str, Any] = field(default_factory=dict)
