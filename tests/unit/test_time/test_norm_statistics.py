"""Norm adaptation: what is mixed, what is kept, and which networks have nothing to adapt."""

from __future__ import annotations

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from adaptbench.errors import UsageError
from adaptbench.test_time.norm_statistics import (
    MixedSettings,
    MixedStatistics,
    RunningSettings,
    RunningStatistics,
    batch_norms,
)


def network(norm: type[nn.BatchNorm2d] = nn.BatchNorm2d) -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(3, 4, 3), norm(4), nn.Conv2d(4, 2, 1))
    made[1].running_mean.normal_()
    made[1].running_var.uniform_(0.5, 2)
    return made.eval()


@torch.no_grad()
def naive(made: nn.Module, image: torch.Tensor, alpha: float) -> torch.Tensor:
    """One network with one norm, written out. Shape: ``(1, 3, H, W)``."""
    first, norm, last = made.children()
    features = first(image)
    values = features.movedim(1, 0).flatten(1).double()
    mean = (1 - alpha) * norm.running_mean + alpha * values.mean(1)
    variance = (1 - alpha) * norm.running_var + alpha * values.var(1, correction=1)
    scale = norm.weight / (variance + norm.eps).sqrt()
    mixed = (features - mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]
    logits: torch.Tensor = last(mixed.float())
    return logits


@pytest.mark.parametrize("alpha", [0.1, 1.0])
@pytest.mark.parametrize("training", [False, True])
def test_statistics_are_mixed_in_every_mode_and_nothing_is_remembered(alpha: float, training: bool) -> None:
    adapted, images = MixedStatistics(network(), MixedSettings(alpha=alpha)), torch.rand(2, 1, 3, 6, 7)
    adapted.network.train(training)
    for image in images:
        torch.testing.assert_close(adapted(image), naive(network(), image, alpha))


def test_without_a_share_of_the_batch_the_bits_are_those_of_the_source() -> None:
    image = torch.rand(1, 3, 6, 7)
    with torch.no_grad():
        expected = network()(image)
    assert torch.equal(MixedStatistics(network(), MixedSettings(alpha=0))(image), expected)


def test_what_a_norm_does_besides_stays() -> None:
    adapted, seen = MixedStatistics(network(BatchNormAct2d), MixedSettings(alpha=1)), []
    adapted.network.get_submodule("1").register_forward_hook(lambda _, __, output: seen.append(output))
    adapted(torch.rand(1, 3, 6, 7))
    assert seen[0].min() == 0 < seen[0].max()


def test_the_running_average_goes_on_unless_every_image_starts_anew() -> None:
    images, found = torch.rand(2, 1, 3, 6, 7), {}
    for episodic in (False, True):
        adapted = RunningStatistics(network(), RunningSettings(momentum=0.5, episodic=episodic))
        found[episodic] = [adapted(image) for image in images]
    fresh = RunningStatistics(network(), RunningSettings(momentum=0.5))(images[1])
    assert torch.equal(found[True][1], fresh)
    assert torch.equal(found[True][0], found[False][0])
    assert not torch.equal(found[True][1], found[False][1])


def test_a_network_without_batch_norms_is_an_error() -> None:
    with pytest.raises(UsageError, match="no BatchNorm2d"):
        batch_norms(nn.Sequential(nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4)))


def test_a_single_value_has_no_variance() -> None:
    adapted = MixedStatistics(network(), MixedSettings())
    with pytest.raises(UsageError, match="too small"):
        adapted(torch.rand(1, 3, 3, 3))
