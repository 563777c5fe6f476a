"""ESPNet as its authors publish it, for ``evaluate --network-file``: an example of a network file.

Source: Mehta, Rastegari, Caspi, Shapiro, Hajishirzi: ESPNet: Efficient Spatial Pyramid of Dilated Convolutions for
    Semantic Segmentation, ECCV 2018, arXiv 1803.06815; normalisation and names of the tensors as in the code of the
    authors, https://github.com/sacmehta/ESPNet, whose folder pretrained/decoder holds the weights.
Networks: `camvid` for espnet_p_2_q_8_camvid.pth, `cityscapes` for espnet_p_2_q_8_cityscapes.pth, and
    `cityscapes_on_camvid` for the latter in the 11 classes of CamVid.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import torch
from torch import Tensor, nn

from adaptbench.contracts.network_file import NetworkFile
from adaptbench.data.taxonomy import CAMVID11, CITYSCAPES19

#: Dilations of the pyramid whose results are summed up; the first branch, of dilation 1, stands alone.
_DILATIONS = (2, 4, 8, 16)
_PAPER = "arXiv:1803.06815"


class Convolution(nn.Module):
    """A convolution without bias that keeps the size, or halves it with a stride of 2."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        padding = kernel // 2 * dilation
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Shape: ``(B, inputs, H, W)`` to ``(B, outputs, H / stride, W / stride)``."""
        return self.conv(features)


class Activation(nn.Module):
    """Batch norm and PReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, eps=1e-3)
        self.act = nn.PReLU(channels)

    def forward(self, features: Tensor) -> Tensor:
        """Shape: ``(B, channels, H, W)``, unchanged."""
        return self.act(self.bn(features))


class ActivatedConvolution(Activation):
    """A convolution, batch norm and PReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(outputs)
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Shape: ``(B, inputs, H, W)`` to ``(B, outputs, H / stride, W / stride)``."""
        return super().forward(self.conv(features))


class Pyramid(nn.Module):
    """Efficient spatial pyramid: few channels, seen at five dilations, and summed from the smallest to the largest.

    Source: sections 3.1 and 3.2 (hierarchical feature fusion).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        width = outputs // (len(_DILATIONS) + 1)
        self.c1 = Convolution(inputs, width, kernel, stride)
        self.d1 = Convolution(width, outputs - len(_DILATIONS) * width, 3)
        for dilation in _DILATIONS:
            self.add_module(f"d{dilation}", Convolution(width, width, 3, dilation=dilation))

    def fused(self, features: Tensor) -> Tensor:
        """Shape: ``(B, inputs, H, W)`` to ``(B, outputs, H / stride, W / stride)``."""
        reduced = self.c1(features)
        branches = (self.get_submodule(f"d{dilation}")(reduced) for dilation in _DILATIONS)
        return torch.cat([self.d1(reduced), *accumulate(branches)], dim=1)


class Downsampling(Pyramid):
    """A pyramid that halves the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, kernel=3, stride=2)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)
        self.act = nn.PReLU(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Shape: ``(B, inputs, H, W)`` to ``(B, outputs, H / 2, W / 2)``."""
        return self.act(self.bn(self.fused(features)))


class Block(Pyramid):
    """A pyramid that keeps the size; where it keeps the number of channels, too, its input is added."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, kernel=1, stride=1)
        self.bn = Activation(outputs)
        self.residual = inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Shape: ``(B, inputs, H, W)`` to ``(B, outputs, H, W)``."""
        fused = self.fused(features)
        return self.bn(features + fused if self.residual else fused)


class Encoder(nn.Module):
    """ESPNet-C: three levels at a half, a quarter and an eighth of the size, fed with the shrunk image again."""

    def __init__(self, outputs: int, p: int = 2, q: int = 8) -> None:
        super().__init__()
        self.shrink = nn.AvgPool2d(3, stride=2, padding=1)
        self.level1 = ActivatedConvolution(3, 16, stride=2)
        self.b1 = Activation(16 + 3)
        self.level2_0 = Downsampling(16 + 3, 64)
        self.level2 = nn.Sequential(*(Block(64, 64) for _ in range(p)))
        self.b2 = Activation(2 * 64 + 3)
        self.level3_0 = Downsampling(2 * 64 + 3, 128)
        self.level3 = nn.Sequential(*(Block(128, 128) for _ in range(q)))
        self.b3 = Activation(2 * 128)
        self.classifier = Convolution(2 * 128, outputs, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The first convolution, levels 1 and 2 as the next level sees them, and the scores of level 3.

        Shape: ``(B, 3, H, W)`` to 16 and 19 channels at ``(H / 2, W / 2)``, 131 at a quarter, the outputs at an eighth.
        """
        half = self.shrink(image)
        first = self.level1(image)
        level1 = self.b1(torch.cat([first, half], dim=1))
        start = self.level2_0(level1)
        level2 = self.b2(torch.cat([self.level2(start), start, self.shrink(half)], dim=1))
        start = self.level3_0(level2)
        scores = self.classifier(self.b3(torch.cat([start, self.level3(start)], dim=1)))
        return first, level1, level2, scores


def _doubled(channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels, channels, 2, stride=2, bias=False)


class ESPNet(nn.Module):
    """ESPNet: the encoder, and a decoder that doubles the size three times, with the levels beside it.

    Attributes:
        shows_image: whether the last level that the decoder sees is level 1 with the shrunk image in it (the network of
            CamVid), or its first convolution alone (that of Cityscapes).
    """

    def __init__(self, outputs: int, *, shows_image: bool) -> None:
        super().__init__()
        self.shows_image = shows_image
        self.encoder = Encoder(outputs)
        self.level3_C = Convolution(2 * 64 + 3, outputs, 1)
        self.br = nn.BatchNorm2d(outputs, eps=1e-3)
        self.up_l3 = nn.Sequential(_doubled(outputs))
        self.combine_l2_l3 = nn.Sequential(Activation(2 * outputs), Block(2 * outputs, outputs))
        self.up_l2 = nn.Sequential(_doubled(outputs), Activation(outputs))
        self.conv = ActivatedConvolution(outputs + (16 + 3 if shows_image else 16), outputs)
        self.classifier = _doubled(outputs)

    def forward(self, image: Tensor) -> Tensor:
        """Logits. Shape: ``(B, 3, H, W)``, of a `taken_size`, to ``(B, outputs, H, W)``."""
        first, level1, level2, scores = self.encoder(image)
        level3 = self.up_l3(self.br(scores))
        quarter = self.combine_l2_l3(torch.cat([self.level3_C(level2), level3], dim=1))
        beside = level1 if self.shows_image else first
        return self.classifier(self.conv(torch.cat([self.up_l2(quarter), beside], dim=1)))

    def taken_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """``size`` with sides that are multiples of 8; other images are padded. Units: pixels."""
        height, width = (-(-side // 8) * 8 for side in size)
        return height, width


def camvid() -> NetworkFile:
    """Trained on CamVid; its twelfth output is void."""
    return NetworkFile(
        network=ESPNet(12, shows_image=True),
        outputs=(*CAMVID11.classes, "void"),
        counts_as={"void": None},
        class_set="camvid11",
        channels="BGR",
        mean=(110.331, 108.409, 105.034),
        std=(72.126, 72.691, 69.904),
        scale=255,
        input_size=(480, 360),
        paper=_PAPER,
    )


def cityscapes() -> NetworkFile:
    """Trained on Cityscapes; its last output is void."""
    return NetworkFile(
        network=ESPNet(20, shows_image=False),
        outputs=(*CITYSCAPES19.classes, "void"),
        counts_as={"void": None},
        class_set="cityscapes19",
        channels="BGR",
        mean=(72.3923111, 82.90893555, 73.15840149),
        std=(45.3192215, 46.15289307, 44.91483307),
        scale=255,
        input_size=(1024, 512),
        paper=_PAPER,
    )


def cityscapes_on_camvid() -> NetworkFile:
    """The same in the classes of CamVid: one that is called otherwise counts as the one that holds it there."""
    wider = {
        "vegetation": "tree",
        "traffic light": "sign",
        "traffic sign": "sign",
        "person": "pedestrian",
        "rider": "bicyclist",
        "bicycle": "bicyclist",
        **dict.fromkeys(("truck", "bus", "motorcycle"), "car"),
        **dict.fromkeys(("wall", "terrain", "train", "void")),
    }
    return replace(cityscapes(), class_set="camvid11", counts_as=wider, input_size=None)
