"""DeepLabV2 on ResNet: the network of DACS and of the adversarial family.

Source: Chen et al., DeepLab, arXiv 1606.00915, with the reduced head (dilations 6 and 12) that the domain
adaptation papers train.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from adaptbench.networks.segmentor import NetworkSpec
from adaptbench.networks.start_weights import StartWeights, shipped
from adaptbench.optim.recipe import recipe


class _Branch(nn.Module):
    """One dilated convolution; a module of its own for the published parameter names."""

    def __init__(self, in_channels: int, num_classes: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, num_classes, 3, padding=dilation, dilation=dilation)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.conv(features)
        return out


@MODELS.register_module()
class DeepLabV2Head(nn.Module):
    """Sum of dilated 3x3 convolutions: no normalisation, no activation, no dropout.

    Source: DeepLab, arXiv 1606.00915, section 3.2 (ASPP); initial weights N(0, 0.01).
    """

    def __init__(
        self, in_channels: int, num_classes: int, dilations: Sequence[int] = (6, 12), in_index: int = -1
    ) -> None:
        super().__init__()
        self.in_index = in_index
        self.aspp_modules = nn.ModuleList(_Branch(in_channels, num_classes, d) for d in dilations)
        for branch in self.aspp_modules.modules():
            if isinstance(branch, nn.Conv2d):
                nn.init.normal_(branch.weight, std=0.01)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Logits. Shape: the ``in_index``-th of ``features`` is ``(B, in_channels, h, w)``; ``(B, C, h, w)``."""
        return torch.stack([branch(features[self.in_index]) for branch in self.aspp_modules]).sum(0)


def deeplabv2_head(channels: int, dilations: Sequence[int] = (6, 12), in_index: int = -1) -> dict[str, Any]:
    """Configuration of the decoder on a feature map of so many channels."""
    config = {"in_channels": channels, "dilations": tuple(dilations), "in_index": in_index}
    return {"type": "DeepLabV2Head", **config}


def resnet(depth: int, **changes: Any) -> dict[str, Any]:
    """ResNet with a 3x3 stem at output stride 8, as mmsegmentation builds it."""
    return {
        "type": "ResNetV1c",
        "depth": depth,
        "strides": (1, 2, 1, 1),
        "dilations": (1, 1, 2, 4),
        "contract_dilation": True,
        "norm_cfg": {"type": "BN", "requires_grad": True},
        **changes,
    }


#: The encoder of the mini networks.
MINI_RESNET = resnet(18, base_channels=32, stem_channels=32)


def _imagenet(file: str) -> StartWeights:
    """ImageNet weights of a ResNet with a 3x3 stem."""
    return StartWeights("ImageNet-1k", file, "the pretrained third-party ResNets v1c of OpenMMLab")


NETWORKS = (
    NetworkSpec("deeplabv2-r101", resnet(101), deeplabv2_head(2048), _imagenet("resnet101_v1c-e67eebb6.pth")),
    NetworkSpec("deeplabv2-r50", resnet(50), deeplabv2_head(2048), _imagenet("resnet50_v1c-2cccc1ad.pth")),
    NetworkSpec(
        name="deeplabv2-mini",
        backbone=MINI_RESNET,
        decode_head=deeplabv2_head(256),
        start=shipped("resnet-mini.safetensors"),
        recipe=recipe(learning_rate=2e-3, head_lr_factor=1.0),
    ),
)
