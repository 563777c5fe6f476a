"""A linear classifier on the deepest feature map: what an encoder knows without a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class LinearHead(nn.Module):
    """A 1x1 convolution.

    Args:
        in_channels: of the deepest map.
        num_classes: number of logits.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv_seg = nn.Conv2d(in_channels, num_classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Logits at the stride of the map. Shape: maps ``(B, c, h, w)``, fine to coarse, to ``(B, C, h, w)``."""
        logits: Tensor = self.conv_seg(features[-1])
        return logits


def linear_head(in_channels: int) -> dict[str, Any]:
    """Configuration of the classifier."""
    return {"type": "LinearHead", "in_channels": in_channels}
