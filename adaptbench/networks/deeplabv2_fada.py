"""DeepLabV2 of FADA: four dilated branches on ResNet-101 as torchvision has it, or on VGG-16.

Source: Chen et al., DeepLab, arXiv 1606.00915, in the form of Wang et al., FADA, arXiv 2007.09222, section 4.1;
docs/quirks.md#a8 and #a13.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmseg.registry import MODELS
from torch import Tensor, nn

from adaptbench.data.normalisation import Normalisation
from adaptbench.networks.recipes import recipe
from adaptbench.networks.segmentor import NetworkSpec
from adaptbench.networks.start_weights import StartWeights

#: Mean of the pictures that the VGG of Caffe was trained on; nothing is divided.
CAFFE_VGG = Normalisation((103.939, 116.779, 123.68), (1.0, 1.0, 1.0), bgr=True)
#: Output channels of the 3x3 convolutions, "pool" where the size is halved, and their dilations.
_VGG = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512)
_DILATED = ((512, 2), (512, 2), (512, 2), (1024, 4), (1024, 4))
_RECIPE = recipe(optimizer="sgd", learning_rate=2.5e-4, weight_decay=5e-4, warmup=0, poly_power=0.9)


@MODELS.register_module()
class DilatedVGG(nn.Sequential):
    """VGG-16 at output stride 8: no pooling after the third, and two dilated convolutions for its dense layers.

    Source: docs/quirks.md#a13.
    """

    def __init__(self) -> None:
        super().__init__(*_vgg_layers())

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """Its one feature map. Shape: ``(B, 3, H, W)`` to ``(B, 1024, H/8, W/8)``."""
        features: Tensor = super().forward(image)  # type: ignore[no-untyped-call]  # torch's lacks types
        return (features,)


def _vgg_layers() -> Iterator[nn.Module]:
    channels = 3
    for entry in _VGG:
        if entry == "pool":
            yield nn.MaxPool2d(2, stride=2)
        else:
            yield from _convolution(channels, channels := int(entry))
    for width, dilation in _DILATED:
        yield from _convolution(channels, channels := width, dilation)


def _convolution(before: int, after: int, dilation: int = 1) -> Iterator[nn.Module]:
    yield nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation)
    yield nn.ReLU(inplace=True)


def _classifier(in_channels: int) -> dict[str, Any]:
    return {"type": "DeepLabV2Head", "in_channels": in_channels, "dilations": (6, 12, 18, 24)}


NETWORKS = (
    NetworkSpec(
        name="deeplabv2-fada-r101",
        backbone={
            "type": "ResNet",
            "depth": 101,
            "strides": (1, 2, 1, 1),
            "dilations": (1, 1, 2, 4),
            "contract_dilation": True,
            "norm_cfg": {"type": "BN", "requires_grad": True},
        },
        decode_head=_classifier(2048),
        start=StartWeights("ImageNet-1k", "resnet101-5d3b4d8f.pth", "torchvision's first ResNet-101"),
        recipe=_RECIPE,
    ),
    NetworkSpec(
        name="deeplabv2-fada-vgg16",
        backbone={"type": "DilatedVGG"},
        decode_head=_classifier(1024),
        start=StartWeights(
            "ImageNet-1k (Caffe)", "vgg16-00b39a1b.pth", "Caffe's VGG-16 in jcjohnson/pytorch-vgg"
        ),
        recipe=_RECIPE,
        normalisation=CAFFE_VGG,
    ),
)
