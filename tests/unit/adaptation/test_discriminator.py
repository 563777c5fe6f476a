"""Sizes, losses by hand, and that a frozen discriminator learns nothing and passes gradients on."""

from __future__ import annotations

import math

import pytest
import torch

from adaptbench.adaptation.discriminator import (
    SOURCE,
    TARGET,
    DomainLoss,
    OutputDiscriminator,
    domain_loss,
    frozen,
)
from adaptbench.errors import UsageError


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (180, 320)])
def test_a_score_per_patch(height: int, width: int) -> None:
    scores = OutputDiscriminator(5, width=2)(torch.rand(2, 5, height, width))
    assert scores.shape == (2, 1, height // 32, width // 32)


@pytest.mark.parametrize(("height", "width"), [(31, 320), (64, 9), (1, 1)])
def test_maps_without_a_patch_are_refused(height: int, width: int) -> None:
    with pytest.raises(UsageError, match=rf"maps of {width}x{height} pixels: it needs sides of at least 32"):
        OutputDiscriminator(5, width=2)(torch.rand(2, 5, height, width))


def test_losses_by_hand() -> None:
    scores = torch.tensor([[[[2.0, -1.0]]]])
    assert float(domain_loss(scores, SOURCE, "ls")) == pytest.approx((4 + 1) / 2)
    assert float(domain_loss(scores, TARGET, "ls")) == pytest.approx((1 + 4) / 2)
    source = [math.log1p(math.exp(s)) for s in (2.0, -1.0)]
    target = [math.log1p(math.exp(-s)) for s in (2.0, -1.0)]
    assert float(domain_loss(scores, SOURCE, "bce")) == pytest.approx(sum(source) / 2)
    assert float(domain_loss(scores, TARGET, "bce")) == pytest.approx(sum(target) / 2)


@pytest.mark.parametrize("kind", ["ls", "bce"])
def test_frozen(kind: DomainLoss) -> None:
    discriminator = OutputDiscriminator(3, width=2)
    discriminator[0].bias.requires_grad_(False)
    maps = torch.rand(1, 3, 32, 32, requires_grad=True)
    with frozen(discriminator):
        loss = domain_loss(discriminator(maps), SOURCE, kind)
    loss.backward()
    assert maps.grad is not None and float(maps.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    assert [p.requires_grad for p in discriminator.parameters()] == [True, False] + [True] * 8
