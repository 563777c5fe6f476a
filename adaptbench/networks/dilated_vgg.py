"""VGG-16 as an encoder of dense feature maps."""

from __future__ import annotations

from collections.abc import Iterator

from mmseg.registry import MODELS
from torch import Tensor, nn

#: Output channels of the 3x3 convolutions, "pool" where the size is halved, and their dilations.
_VGG = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512)
_DILATED = ((512, 2), (512, 2), (512, 2), (1024, 4), (1024, 4))


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
