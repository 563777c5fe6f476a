"""The discriminator of output adaptation: does a map of class scores come from a source or a target image?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.errors import UsageError

#: Loss of a discriminator: least squares, or logistic (binary cross entropy).
DomainLoss: TypeAlias = Literal["ls", "bce"]
#: Labels of the domains.
SOURCE, TARGET = 0.0, 1.0

_SLOPE = 0.2
#: Pixels per patch along a side.
_STRIDE = 32


class OutputDiscriminator(nn.Sequential):
    """Five 4x4 convolutions of stride 2 with leaky ReLU between them: a score per patch, without activation.

    The first one has ``width`` channels; they double three times.

    Source: Tsai et al., AdaptSegNet, arXiv 1802.10349, section 4.2.
    """

    def __init__(self, num_classes: int, width: int = 64) -> None:
        channels = [num_classes, width, 2 * width, 4 * width, 8 * width, 1]
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(_SLOPE, inplace=True)]
        super().__init__(*layers[:-1])

    def forward(self, maps: Tensor) -> Tensor:
        """Scores of patches. Shape: float ``(B, num_classes, H, W)`` to ``(B, 1, H // 32, W // 32)``.

        Raises:
            UsageError: the maps are so small that no patch is left.
        """
        height, width = maps.shape[-2:]
        if min(height, width) < _STRIDE:
            raise UsageError(
                f"A discriminator of five convolutions of stride 2 cannot judge maps of {width}x{height} pixels: it "
                f"needs sides of at least {_STRIDE}. Set crop, resolution, or the size of the dataset, to more "
                "(profile mini takes a quarter of sizes, small half, --profile paper all of them)."
            )
        for layer in self:
            maps = layer(maps)
        return maps


def domain_loss(scores: Tensor, domain: float, kind: DomainLoss) -> Tensor:
    """Return the loss of a discriminator's raw scores for `SOURCE` or `TARGET`, averaged over all patches.

    Shape: float of any shape to a float scalar, 0 or more.

    Source: AdaptSegNet, arXiv 1802.10349, section 3.2 (bce); LS-GAN, arXiv 1611.04076 (ls).
    """
    label = torch.full_like(scores, domain)
    if kind == "ls":
        return functional.mse_loss(scores, label)
    return functional.binary_cross_entropy_with_logits(scores, label)


@contextlib.contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within the block, the parameters of ``module`` receive no gradient."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
