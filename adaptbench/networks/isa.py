"""Interlaced sparse self-attention, one of the published fusions of the DAFormer decoder.

Source: Huang et al., arXiv 1907.12273; DAFormer, arXiv 2111.14887, table 7.
"""

from __future__ import annotations

from typing import Any

from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn import functional


class _Relation(nn.Module):
    """Self-attention over all positions of a map, with one head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.key_project = _conv(channels, channels)
        self.query_project = _conv(channels, channels)
        self.value_project = nn.Conv2d(channels, channels, 1)
        self.output_project = _conv(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Shape: ``(B, C, h, w)``, unchanged."""
        projections = (self.query_project, self.key_project, self.value_project)
        tokens = (project(features).flatten(2).transpose(1, 2) for project in projections)
        query, key, value = (
            part.unsqueeze(1) for part in tokens
        )  # the axis of heads, which ONNX wants to see
        attended = functional.scaled_dot_product_attention(query, key, value).squeeze(1)
        out: Tensor = self.output_project(attended.transpose(1, 2).reshape_as(features))
        return out


class InterlacedAttention(nn.Module):
    """A 1x1 convolution, attention among distant positions, then attention within blocks.

    The map is zero-padded symmetrically to whole blocks (an odd row or column at the bottom or right); padded
    positions take part in the attention. There is neither a residual connection nor an output convolution.

    Source: docs/quirks.md#s6.
    """

    def __init__(self, in_channels: int, channels: int, block: int = 8) -> None:
        super().__init__()
        self.block = block
        self.in_conv = _conv(in_channels, channels)
        self.global_relation = _Relation(channels)
        self.local_relation = _Relation(channels)

    def forward(self, features: Tensor) -> Tensor:
        """Shape: ``(B, in_channels, h, w)`` to ``(B, channels, h, w)``."""
        projected: Tensor = self.in_conv(features)
        height, width = projected.shape[-2:]
        (top, bottom), (left, right) = self._margins(height), self._margins(width)
        padded = functional.pad(projected, (left, right, top, bottom))
        attended = self._attend(padded)
        return attended[:, :, top : top + height, left : left + width]

    def _margins(self, length: int) -> tuple[int, int]:
        missing = -length % self.block
        return missing // 2, missing - missing // 2

    def _attend(self, padded: Tensor) -> Tensor:
        """First among the positions with the same place in their blocks, then among those of one block."""
        batch, channels, height, width = padded.shape
        side, rows, columns = self.block, height // self.block, width // self.block
        blocks = padded.view(batch, channels, rows, side, columns, side)
        distant = self.global_relation(
            blocks.permute(0, 3, 5, 1, 2, 4).reshape(batch * side * side, channels, rows, columns)
        ).view(batch, side, side, channels, rows, columns)
        near: Tensor = self.local_relation(
            distant.permute(0, 4, 5, 3, 1, 2).reshape(batch * rows * columns, channels, side, side)
        ).view(batch, rows, columns, channels, side, side)
        return near.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, height, width)


def _conv(in_channels: int, channels: int) -> Any:
    """1x1 convolution, batch norm, ReLU."""
    return ConvModule(in_channels, channels, 1, norm_cfg={"type": "BN"}, act_cfg={"type": "ReLU"})
