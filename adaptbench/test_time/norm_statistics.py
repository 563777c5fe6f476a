"""Norm adaptation: batch norms whose statistics come from the test images; no weight changes."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from adaptbench.errors import UsageError
from adaptbench.networks.frozen_norm import keep_statistics
from adaptbench.test_time.restart import Restart


class MixedSettings(BaseModel):
    """Settings of `MixedStatistics`; the defaults are those published for segmentation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alpha: float = Field(
        0.1, ge=0, le=1, description="share of the batch's statistics, 0 = the source's alone"
    )


class RunningSettings(BaseModel):
    """Settings of `RunningStatistics`; the defaults are those published for segmentation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    momentum: float = Field(0.1, gt=0, le=1, description="share of an image's statistics in the average")
    episodic: bool = Field(False, description="start every image from the source's statistics")


def batch_norms(network: nn.Module) -> dict[str, nn.BatchNorm2d]:
    """The batch norms of a network that have running statistics, by name.

    Raises:
        UsageError: it has none.
    """
    found = {
        name: part
        for name, part in network.named_modules()
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None
    }
    if not found:
        raise UsageError(
            "This network has no BatchNorm2d with running statistics, so norm adaptation would change nothing. "
            "Choose a network with batch norms."
        )
    return found


def remove_statistics(network: nn.Module) -> None:
    """Takes the running statistics out of every batch norm: it normalises by the batch, in every mode.

    Source: code of TENT; docs/quirks.md#t3.
    """
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.track_running_stats = False
            part.running_mean = part.running_var = None


def batch_statistics(network: nn.Module, eps: float, momentum: float, reset: bool, remove: bool) -> None:
    """Official norm adaptation: batch norms normalise by the biased statistics of the batch.

    Running statistics move on the side and are not used, from 0 and 1 with ``reset``; ``remove`` takes them out.

    Raises:
        UsageError: there is no batch norm.

    Source: code of TENT (norm.py); docs/quirks.md#t14.
    """
    network.eval()
    for part in batch_norms(network).values():
        part.train()
        part.eps, part.momentum = eps, momentum
        if reset:
            part.reset_running_stats()
    if remove:
        remove_statistics(network)


def batch_moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unbiased variance of every channel. Shape: ``(B, C, H, W)`` to ``(C,)`` each.

    Raises:
        UsageError: a channel has a single value.
    """
    if features.numel() == features.shape[1]:
        raise UsageError(
            "A batch norm sees a single value per channel, which has no variance: the image is too small for norm "
            "adaptation."
        )
    variance, mean = torch.var_mean(features, dim=(0, 2, 3))
    return mean, variance


class MixedStatistics:
    """Every batch norm uses (1 - alpha) * source + alpha * batch, of means and of variances; nothing is remembered.

    The variance of the batch is the unbiased one. Layers keep their names, and stay in evaluation mode.

    Raises:
        UsageError: the network has no batch norm.

    Source: Schneider et al., arXiv 2006.16971, section 3, in the form of the segmentation code; docs/quirks.md#t11.
    """

    def __init__(self, network: nn.Module, settings: MixedSettings) -> None:
        self.network = network.eval()
        norms = batch_norms(network)
        keep_statistics(network)
        for part in norms.values():
            part.register_forward_pre_hook(_Mixing(part, settings.alpha))

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        """Logits as the network gives them. Shape: ``(B, 3, H, W)`` to ``(B, C, h, w)``."""
        logits: Tensor = self.network(image)
        return logits


class _Mixing:
    """Writes mixed statistics into a batch norm, right before it reads them."""

    def __init__(self, norm: nn.BatchNorm2d, alpha: float) -> None:
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None and variance is not None
        self.source, self.alpha = (mean.clone(), variance.clone()), alpha

    def __call__(self, norm: nn.Module, inputs: Any) -> None:
        for name, source, batch in zip(("mean", "var"), self.source, batch_moments(inputs[0]), strict=True):
            norm.get_buffer(f"running_{name}").copy_((1 - self.alpha) * source + self.alpha * batch)


class RunningStatistics:
    """The running statistics go on over the stream; an image is predicted with those that contain it already.

    Raises:
        UsageError: the network has no batch norm.

    Source: code of test-time adaptation for segmentation (norm_ema); docs/quirks.md#t13.
    """

    def __init__(self, network: nn.Module, settings: RunningSettings) -> None:
        self.network, self.settings = network, settings
        for part in batch_norms(network).values():
            part.momentum = settings.momentum
        self._restart = Restart(network)

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        """Logits of the second of two passes. Shape: ``(B, 3, H, W)`` to ``(B, C, h, w)``."""
        if self.settings.episodic:
            self._restart()
        self.network.train()(image)
        logits: Tensor = self.network.eval()(image)
        return logits
