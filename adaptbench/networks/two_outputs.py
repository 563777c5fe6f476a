"""A decoder with two outputs: the main one, and an auxiliary one that reads a shallower feature map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmseg.registry import MODELS
from torch import Tensor

from adaptbench.adaptation.parts import Assembly


@MODELS.register_module()
class TwoOutputHead(Assembly):
    """Two decoders on one encoder; as a decoder it gives the main output alone.

    Source: AdaptSegNet, arXiv 1802.10349, section 3.2 (multi-level adaptation).
    """

    def __init__(self, main: Mapping[str, Any], aux: Mapping[str, Any], num_classes: int) -> None:
        super().__init__()
        self.aux = MODELS.build({**aux, "num_classes": num_classes})
        self.main = MODELS.build({**main, "num_classes": num_classes})

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Main logits. Shape: feature maps, fine to coarse, to ``(B, C, h, w)``."""
        logits: Tensor = self.main(features)
        return logits

    def outputs(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        """Both logits, ``aux`` and ``main``. Shape: feature maps, fine to coarse, to ``(B, C, h, w)`` each."""
        return {"aux": self.aux(features), "main": self.main(features)}
