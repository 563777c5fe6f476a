"""The network of the majority control: no parameters, only counts of the classes."""

from __future__ import annotations

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from adaptbench.networks.segmentor import NetworkSpec


@MODELS.register_module()
class NoBackbone(nn.Module):
    """Passes the image on."""

    def forward(self, image: Tensor) -> Tensor:
        """Shape: unchanged."""
        return image


@MODELS.register_module()
class ClassFrequencyHead(nn.Module):
    """Predicts the classes by how often they were counted, whatever the image shows."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.counts: Tensor
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.float64))

    def forward(self, image: Tensor) -> Tensor:
        """Shape: ``(B, 3, H, W)`` to ``(B, C, 1, 1)``, each class's share in [0, 1]."""
        share = (self.counts / self.counts.sum().clamp(min=1)).float()
        return share.view(1, -1, 1, 1).expand(image.shape[0], -1, 1, 1)


NETWORKS = (
    NetworkSpec("class-frequency", {"type": "NoBackbone"}, {"type": "ClassFrequencyHead"}, recipe={}),
)
