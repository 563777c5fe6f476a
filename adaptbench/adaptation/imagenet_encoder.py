"""The frozen encoder that the feature distance compares with."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from adaptbench.adaptation.parts import Assembly


class FrozenEncoder(Assembly):
    """A copy of an encoder that never changes and is always in evaluation mode.

    The copy holds whatever weights the encoder has when it is made: the ImageNet weights if the network
    starts from them. A network without pretrained weights (``pretraining`` says ``none``) starts from random
    ones, and then the distance is kept to random features: it regularises, but it carries no knowledge of
    ImageNet.

    Source: DAFormer, arXiv 2111.14887, section 3.3; docs/quirks.md#s26 and #s41.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.encoder.eval()  # in a line of its own: train() of mmsegmentation's ResNet returns nothing

    def train(self, mode: bool = True) -> FrozenEncoder:
        """Stays in evaluation mode, whatever ``mode`` says."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Sequence[Tensor]:
        """Feature maps, fine to coarse, without gradients. Shape: ``(B, 3, H, W)`` to ``(B, c, h, w)`` each."""
        features: Sequence[Tensor] = self.encoder(image)
        return features


def level_of_stride(image: Tensor, features: Sequence[Tensor], stride: int) -> int:
    """Index of the feature map whose stride comes closest to ``stride``; of equal ones the deepest.

    Units: ``stride`` in pixels of ``image``.
    """
    gaps = [abs(image.shape[-1] / feature.shape[-1] - stride) for feature in features]
    return max(range(len(gaps)), key=lambda level: (-gaps[level], level))
