"""Batch normalisation by the statistics of a batch that is spread over ranks, on any device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed

from adaptbench.ranks.share import Share, total


def batch_norm(
    values: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
    share: Share,
) -> Tensor:
    """`torch.nn.functional.batch_norm` in training mode, of the rows of all ranks together, in float32 at least.

    Shape: ``(b, C, ...)``, unchanged; the rows of this rank.
    """
    channels = values.shape[1]
    whole = values.to(torch.promote_types(values.dtype, torch.float32))
    count, mean, variance = _statistics(whole.detach(), share)
    if running_mean is not None and running_var is not None:
        running_mean.lerp_(mean.to(running_mean), momentum)
        running_var.lerp_((variance * count / (count - 1)).to(running_var), momentum)
    shape = (1, channels, *[1] * (values.dim() - 2))
    scale = (variance + eps).rsqrt()
    standard = _Standardise.apply(whole, mean.view(shape), scale.view(shape), count)
    # A product is another tensor, which the next layer may change in place.
    standard = standard * (standard.new_ones(()) if weight is None else weight.view(shape))
    if bias is not None:
        standard = standard + bias.view(shape)
    result: Tensor = standard.to(values.dtype)
    return result


def _statistics(values: Tensor, share: Share) -> tuple[float, Tensor, Tensor]:
    """Values per channel, mean, and biased variance, over all ranks."""
    axes = [axis for axis in range(values.dim()) if axis != 1]
    variance, mean = torch.var_mean(values, dim=axes, correction=0)
    own = torch.stack([mean, variance])
    every = [torch.empty_like(own) for _ in range(share.ranks)]
    distributed.all_gather(every, own)
    means, variances = torch.stack(every, dim=1)
    parts = means.new_tensor([len(share.own(rank)) / share.images for rank in range(share.ranks)])[:, None]
    joint = (parts * means).sum(0)
    count = values.numel() / values.shape[1] / len(share.own()) * share.images
    return count, joint, (parts * (variances + (means - joint).square())).sum(0)


class _Standardise(torch.autograd.Function):
    """(x - mean) * scale, where mean and scale follow from the rows of all ranks."""

    @staticmethod
    def forward(context: Any, values: Tensor, mean: Tensor, scale: Tensor, count: float) -> Tensor:
        standard = (values - mean) * scale
        context.save_for_backward(standard, scale)
        context.count = count
        return standard

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        standard, scale = context.saved_tensors
        axes = [axis for axis in range(gradient.dim()) if axis != 1]
        own = torch.stack([gradient.sum(axes), (gradient * standard).sum(axes)])
        mean, slope = (total(own) / context.count).view(2, *scale.shape)
        return (gradient - mean - standard * slope) * scale, None, None, None
