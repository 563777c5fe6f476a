"""The depthwise convolution without dilation against the one with it."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.networks import daformer, depthwise
from adaptbench.networks.depthwise import QuickDepthwiseConv2d, dilated_depthwise, quicken

CHANNELS = 5


@pytest.mark.parametrize("dilation", [2, 3, 6, 12, 18, 40])
@pytest.mark.parametrize("size", [(32, 32), (7, 11), (36, 18), (5, 64), (1, 3)])
@pytest.mark.parametrize(
    ("bias", "order"), list(product([False, True], [torch.contiguous_format, torch.channels_last]))
)
def test_equals_conv2d(dilation: int, size: tuple[int, int], bias: bool, order: torch.memory_format) -> None:
    features, weight, offset = draw(size)
    inputs = (features, weight, offset) if bias else (features, weight)
    given = features.contiguous(memory_format=order)
    ours = dilated_depthwise(given, weight, offset if bias else None, dilation)
    theirs = dilated(given, weight, offset if bias else None, dilation)
    torch.testing.assert_close(ours, theirs)
    direction = torch.randn_like(theirs)
    for mine, other in zip(
        torch.autograd.grad(ours, inputs, direction),
        torch.autograd.grad(theirs, inputs, direction),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)
    with torch.no_grad():
        torch.testing.assert_close(
            dilated_depthwise(given, weight, offset if bias else None, dilation), theirs
        )


@pytest.mark.parametrize("size", [(3, 5), (5, 5), (7, 1)])
@pytest.mark.parametrize("dilation", [2, 5])
def test_other_kernels_that_keep_the_size(size: tuple[int, int], dilation: int) -> None:
    torch.manual_seed(0)
    padding = (dilation * (size[0] // 2), dilation * (size[1] // 2))
    layer = nn.Conv2d(CHANNELS, CHANNELS, size, padding=padding, dilation=dilation, groups=CHANNELS)
    features = torch.randn(2, CHANNELS, 13, 18)
    expected = layer(features)
    quicken(layer)
    assert isinstance(layer, QuickDepthwiseConv2d) and layer._fits()
    torch.testing.assert_close(layer(features), expected)


@pytest.mark.parametrize(
    "other",
    [
        {"groups": 1},
        {"stride": 2},
        {"padding": 3},
        {"dilation": (2, 3), "padding": (2, 3)},
        {"kernel_size": 5},
        {"kernel_size": 4, "padding": 3},
    ],
)
def test_every_other_convolution_is_as_it_was(other: dict[str, Any]) -> None:
    options: dict[str, Any] = {"kernel_size": 3, "padding": 2, "dilation": 2, "groups": CHANNELS, **other}
    torch.manual_seed(0)
    ours = QuickDepthwiseConv2d(CHANNELS, CHANNELS, **options)
    features = torch.randn(2, CHANNELS, 16, 16)
    assert torch.equal(ours(features), torch.nn.Conv2d.forward(ours, features))


def test_the_decoder_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    dilations = []

    def note(features: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
        dilations.append(dilation)
        return dilated(features, weight, bias, dilation)

    monkeypatch.setattr(depthwise, "dilated_depthwise", note)
    aspp = daformer.ASPP(CHANNELS, CHANNELS, (1, 6, 12, 18), separable=True)
    aspp(torch.randn(2, CHANNELS, 16, 16))
    assert dilations == [6, 12, 18]


def draw(size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Features, weight and bias in double precision."""
    random = torch.Generator().manual_seed(0)
    shapes = ((2, CHANNELS, *size), (CHANNELS, 1, 3, 3), (CHANNELS,))
    features, weight, bias = (
        torch.randn(shape, generator=random, dtype=torch.float64, requires_grad=True) for shape in shapes
    )
    return features, weight, bias


def dilated(features: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    return functional.conv2d(features, weight, bias, padding=dilation, dilation=dilation, groups=CHANNELS)
