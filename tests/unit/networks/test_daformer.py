from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adaptbench import networks
from adaptbench.networks import isa
from adaptbench.networks.daformer import DAFormerHead, daformer_head

CHANNELS = (4, 6, 8, 10)
VARIANTS: list[dict[str, Any]] = [
    {"fusion": "separable_aspp"},
    {"fusion": "aspp"},
    {"fusion": "conv"},
    {"fusion": "isa"},
    {"fusion": "conv", "context_at_deepest": True},
]


def feature_maps(height: int = 16, width: int = 24, batch: int = 2) -> list[Tensor]:
    sizes = [(-(-height // step), -(-width // step)) for step in (1, 2, 4, 8)]
    return [torch.randn(batch, channels, *size) for channels, size in zip(CHANNELS, sizes, strict=True)]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
@pytest.mark.parametrize("size", [(16, 24), (13, 9)])
def test_logits_have_the_finest_size(changes: dict[str, Any], size: tuple[int, int]) -> None:
    head = DAFormerHead(CHANNELS, 5, width=8, **changes)
    assert head(feature_maps(*size)).shape == (2, 5, *size)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_every_parameter_gets_a_gradient(changes: dict[str, Any]) -> None:
    head = DAFormerHead(CHANNELS, 5, width=8, **changes)
    head(feature_maps()).square().sum().backward()
    assert [name for name, parameter in head.named_parameters() if parameter.grad is None] == []


def test_dropout_drops_whole_channels_in_front_of_the_classifier() -> None:
    torch.manual_seed(0)
    head = DAFormerHead(CHANNELS, 5, width=64, dropout=0.5)
    seen: list[Tensor] = []
    head.conv_seg.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    fused: list[Tensor] = []
    head.fuse_layer.register_forward_hook(lambda module, inputs, output: fused.append(output))
    head(feature_maps())
    dropped = (seen[0] == 0).flatten(2).all(-1) & (fused[0] != 0).flatten(2).any(-1)
    kept = (seen[0] == 2 * fused[0]).flatten(2).all(-1)
    assert (dropped | kept).all()
    assert 0.3 < dropped.float().mean() < 0.7
    assert DAFormerHead(CHANNELS, 5).dropout.p == 0.1


def test_unknown_fusion_is_named() -> None:
    with pytest.raises(ValueError, match="expected one of separable_aspp, aspp, isa, conv, got 'sum'"):
        DAFormerHead(CHANNELS, 5, fusion="sum")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(16, 16), (9, 20), (7, 3)])
def test_isa_attends_within_the_two_partitions(size: tuple[int, int]) -> None:
    """Where relations average their positions, the result is known in closed form."""

    class Mean(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return features.mean((2, 3), keepdim=True).expand_as(features)

    fusion = isa.InterlacedAttention(3, 3, block=4).eval()
    fusion.in_conv, fusion.global_relation, fusion.local_relation = nn.Identity(), Mean(), Mean()
    features = torch.randn(2, 3, *size)
    area = (size[0] + -size[0] % 4) * (size[1] + -size[1] % 4)
    mean = features.sum((2, 3), keepdim=True) / area
    torch.testing.assert_close(fusion(features), mean.expand_as(features))


def test_configuration_serves_any_encoder() -> None:
    config = daformer_head([32, 64], width=16)
    assert config == {"type": "DAFormerHead", "in_channels": (32, 64), "width": 16}


def test_decoder_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        head = networks.build("daformer-mit_b5", 19).get_submodule("decode_head")
    assert sum(parameter.numel() for parameter in head.parameters()) / 1e6 == pytest.approx(3.7, abs=0.05)
