"""The frozen encoder, and which of its maps is compared."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adaptbench import networks
from adaptbench.adaptation.imagenet_encoder import FrozenEncoder, level_of_stride


def test_it_never_changes() -> None:
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    frozen = FrozenEncoder(encoder)
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    nn.init.zeros_(encoder[0].weight)
    features = frozen.train()(torch.randn(2, 3, 8, 8, requires_grad=True))
    assert not any(part.training for part in frozen.modules())
    assert not features.requires_grad
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert all(torch.equal(value, before[name]) for name, value in frozen.state_dict().items())


@pytest.mark.parametrize("network", ["deeplabv2-mini", "daformer-mini"])
def test_our_encoders_can_be_frozen(network: str) -> None:
    encoder = networks.build(network, 5).get_submodule("backbone")
    frozen = FrozenEncoder(encoder)
    assert encoder.training and not any(part.training for part in frozen.encoder.modules())
    assert all(torch.isfinite(part).all() for part in frozen(torch.randn(1, 3, 64, 64)))


@pytest.mark.parametrize(
    ("strides", "wanted", "level"),
    [((4, 8, 16, 32), 32, 3), ((4, 8, 16, 32), 8, 1), ((4, 8, 8, 8), 32, 3), ((4, 8, 16, 32), 2, 0)],
)
def test_level_of_stride(strides: tuple[int, ...], wanted: int, level: int) -> None:
    image = torch.zeros(1, 3, 64, 64)
    features = [torch.zeros(1, 2, 64 // stride, 64 // stride) for stride in strides]
    assert level_of_stride(image, features, wanted) == level
