"""Depthwise convolutions in float64 and bf16, all channels at once; on a CPU torch computes those one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class QuickDepthwise(TorchFunctionMode):
    """Within the block, every depthwise ``conv2d`` of these formats is the same sum of products, taken at once."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return (_conv2d if func is functional.conv2d else func)(*args, **(kwargs or {}))


def _conv2d(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    sizes = (stride, padding, dilation)
    if len(weight) == features.shape[1] == groups > 1:
        if features.dtype == torch.float64:
            return _in_float64(features, weight, bias, *sizes)
        if torch.is_autocast_enabled("cpu"):
            return _in_short(torch.get_autocast_dtype("cpu"), features, weight, bias, *sizes, groups)
    return functional.conv2d(features, weight, bias, *sizes, groups)


def _in_float64(features: Tensor, weight: Tensor, bias: Tensor | None, *sizes: Any) -> Tensor:
    """The weighted sum of patches."""
    stride, padding, dilation = sizes
    batch, channels = features.shape[:2]
    patches = functional.unfold(features, weight.shape[2:], dilation, padding, stride)
    seen = patches.view(batch, channels, math.prod(weight.shape[2:]), -1)
    sums = (seen * weight.view(channels, -1, 1)).sum(dim=2)
    shape = functional.conv2d(features[:, :1].to("meta"), weight[:1].to("meta"), None, *sizes).shape
    return sums.view(batch, channels, *shape[2:]) + (0 if bias is None else bias.view(-1, 1, 1))


def _in_short(
    dtype: torch.dtype, features: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any
) -> Tensor:
    """As kernels of the short format: rounded factors, sums in float32, a rounded result."""
    with torch.autocast("cpu", enabled=False):
        factors = [None if one is None else one.to(dtype).float() for one in (features, weight, bias)]
        result: Tensor = functional.conv2d(*factors, *rest).to(dtype)  # type: ignore[arg-type]
    return result
