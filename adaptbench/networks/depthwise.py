"""A dilated depthwise convolution that is as quick on a CPU as one without dilation.

Pixels ``dilation`` apart see only each other. So the rows of one phase (remainder by the dilation) become an image of
their own, the columns of one phase channels of their own, and the convolution loses its dilation. Of the numbers
that are summed none changes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

#: oneDNN's forward pass is quick up to this dilation, its backward pass only without any.
_QUICK_FORWARD = 6
#: With fewer rows than this, oneDNN takes a slow path for the gradient of the weights.
_ROWS_FOR_GRADIENTS = 3


class QuickDepthwiseConv2d(nn.Conv2d):
    """A convolution; where it is depthwise and dilated and keeps the size, it takes `dilated_depthwise` on a CPU."""

    def forward(self, features: Tensor) -> Tensor:
        """Shape: as `torch.nn.Conv2d`."""
        quick = 1 if torch.is_grad_enabled() else _QUICK_FORWARD
        if features.device.type != "cpu" or self.dilation[0] <= quick or not self._fits():
            return super().forward(features)
        return dilated_depthwise(features, self.weight, self.bias, self.dilation[0])

    def _fits(self) -> bool:
        depthwise = self.groups == self.in_channels == self.out_channels
        square = self.dilation[0] == self.dilation[1]
        centred = tuple(d * (side - 1) // 2 for d, side in zip(self.dilation, self.kernel_size, strict=True))
        odd = all(side % 2 for side in self.kernel_size)
        return depthwise and square and odd and self.stride == (1, 1) and self.padding == centred


def quicken(module: nn.Module) -> None:
    """Makes every dilated convolution in ``module`` a `QuickDepthwiseConv2d`; weights and numbers stay."""
    for part in module.modules():
        if type(part) is nn.Conv2d and part.dilation != (1, 1):
            part.__class__ = QuickDepthwiseConv2d


def dilated_depthwise(features: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """Equal to ``conv2d`` with ``groups=C``, this dilation, and the padding with which the size stays.

    Shape:
        - features: float (B, C, H, W).
        - weight: float (C, 1, k, l), both odd; bias: float (C,) or None.
        - returns: float (B, C, H, W), in channels-last order.
    """
    channels, height, width = features.shape[1:]
    least = _ROWS_FOR_GRADIENTS if torch.is_grad_enabled() else 1
    layout = _Layout(dilation, height, width, max(height // dilation + 1, least), -(-width // dilation))
    convolved = functional.conv2d(
        _Split.apply(features, layout),
        weight.repeat(dilation, 1, 1, 1),
        None if bias is None else bias.repeat(dilation),
        padding=(weight.shape[2] // 2, weight.shape[3] // 2),
        groups=dilation * channels,
    )
    joined: Tensor = _Join.apply(convolved, layout)
    return joined


class _Layout(NamedTuple):
    """The size of a map, and rows and columns of its phases."""

    dilation: int
    height: int
    width: int
    rows: int
    columns: int


class _Split(Function):
    """A map to its phases; the gradient goes the other way."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, layout: _Layout) -> Tensor:
        ctx.layout = layout
        return _split(features, layout)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _join(gradient, ctx.layout), None


class _Join(Function):
    """Phases to the map."""

    @staticmethod
    def forward(ctx: Any, phases: Tensor, layout: _Layout) -> Tensor:
        ctx.layout = layout
        return _join(phases, layout)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _split(gradient, ctx.layout), None


def _split(features: Tensor, layout: _Layout) -> Tensor:
    """Shape: ``(B, C, H, W)`` to ``(B * dilation, dilation * C, rows, columns)``, filled up with zeros."""
    batch, channels, dilation = features.shape[0], features.shape[1], layout.dilation
    phases = features.new_zeros(batch, dilation, layout.rows, layout.columns * dilation, channels)
    for part, lines in zip(_lines(phases, layout), _parts(features.permute(0, 2, 3, 1), layout), strict=True):
        part.copy_(lines)
    return phases.view(batch * dilation, layout.rows, layout.columns, dilation * channels).permute(0, 3, 1, 2)


def _join(phases: Tensor, layout: _Layout) -> Tensor:
    """Shape: ``(B * dilation, dilation * C, rows, columns)`` to ``(B, C, H, W)`` in channels-last order."""
    dilation = layout.dilation
    batch, channels = phases.shape[0] // dilation, phases.shape[1] // dilation
    lines = phases.permute(0, 2, 3, 1).reshape(batch, dilation, layout.rows, -1, channels)
    features = phases.new_empty(batch, layout.height, layout.width, channels)
    for part, line in zip(_parts(features, layout), _lines(lines, layout), strict=True):
        part.copy_(line)
    return features.permute(0, 3, 1, 2)


def _lines(phases: Tensor, layout: _Layout) -> tuple[Tensor, Tensor]:
    """Views of the map's lines in its phases ``(B, dilation, rows, width, C)``, as `_parts` orders them."""
    full, rest = divmod(layout.height, layout.dilation)
    lines = phases.transpose(1, 2)[:, :, :, : layout.width]
    return lines[:, :full], lines[:, full : full + 1, :rest]


def _parts(pixels: Tensor, layout: _Layout) -> tuple[Tensor, Tensor]:
    """Views of a map ``(B, H, W, C)``: rows that fill all phases, and the rest."""
    full = layout.height // layout.dilation
    head, tail = pixels[:, : full * layout.dilation], pixels[:, full * layout.dilation :]
    return head.view(head.shape[0], full, layout.dilation, *head.shape[2:]), tail.unsqueeze(1)
