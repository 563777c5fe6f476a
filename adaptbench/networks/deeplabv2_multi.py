"""DeepLabV2 with two outputs on a Caffe-style ResNet-101: the network of AdaptSegNet, ADVENT and IntraDA.

Source: Chen et al., DeepLab, arXiv 1606.00915, in the form of Tsai et al., AdaptSegNet, arXiv 1802.10349, section 4.1,
with the four branches that ADVENT's code sums. PixMatch's and EHTDI's code sums two of them and trains the norms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg.models.backbones.resnet import Bottleneck
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.data.normalisation import CAFFE
from adaptbench.networks.deeplabv2 import MINI_RESNET, deeplabv2_head
from adaptbench.networks.segmentor import NetworkSpec
from adaptbench.networks.start_weights import StartWeights, shipped
from adaptbench.optim.recipe import recipe

_STRIDES = (1, 2, 1, 1)
_DILATIONS = (1, 1, 2, 4)


@MODELS.register_module()
class CaffeResNet(nn.Module):
    """ResNet of bottleneck blocks at output stride 8, as converted from Caffe.

    What differs from other ResNets: a 7x7 stem and a max pool that rounds sizes up; the stride of a stage sits in its
    first 1x1 convolution; every block of the last two stages is dilated, the first one included; every stage begins
    with a projection. Scale and shift of the batch norms are usually not trained, but in training the statistics are
    those of the batch, even of a single image, and the running ones follow.

    Args:
        stem: channels of the stem.
        planes: inner channels of the blocks of each stage; they give four times as many.
        blocks: blocks of each stage.
        trained_norms: whether scale and shift of the batch norms are trained, except in the stem.

    Source: docs/quirks.md#a18, #a26 and #b13; He et al., arXiv 1512.03385, table 1.
    """

    def __init__(
        self,
        stem: int = 64,
        planes: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] = (3, 4, 23, 3),
        trained_norms: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        inputs = [stem, *(Bottleneck.expansion * width for width in planes)]
        stages = zip(inputs, planes, blocks, _STRIDES, _DILATIONS, strict=False)
        for number, stage in enumerate(stages, start=1):
            self.add_module(f"layer{number}", _stage(*stage))
        for module in self.modules():
            _initialise(module)
        if trained_norms:
            self.requires_grad_(True)
            self.bn1.requires_grad_(False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Output of the four stages. Shape: ``(B, 3, H, W)`` to ``(B, 4 * planes, h, w)`` at strides 4, 8, 8, 8."""
        features = self.maxpool(functional.relu(self.bn1(self.conv1(image)), inplace=True))
        maps = []
        for stage in (1, 2, 3, 4):
            features = self.get_submodule(f"layer{stage}")(features)
            maps.append(features)
        return tuple(maps)


def _stage(inputs: int, planes: int, blocks: int, stride: int, dilation: int) -> nn.Sequential:
    outputs = Bottleneck.expansion * planes
    projection = nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
    )
    common = {"planes": planes, "dilation": dilation, "style": "caffe"}
    first = Bottleneck(inputs, stride=stride, downsample=projection, **common)
    return nn.Sequential(first, *(Bottleneck(outputs, **common) for _ in range(1, blocks)))


def _initialise(module: nn.Module) -> None:
    """Published initial weights N(0, 0.01); batch norms are not trained unless asked for."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.01)
    elif isinstance(module, nn.BatchNorm2d):
        module.requires_grad_(False)


#: Dilations of a classifier's branches, and those of them that PixMatch and EHTDI evaluate.
FOUR_BRANCHES = (6, 12, 18, 24)
TWO_BRANCHES = FOUR_BRANCHES[:2]


def two_classifiers(aux: int, main: int, dilations: Sequence[int] = FOUR_BRANCHES) -> dict[str, Any]:
    """Configuration of both classifiers: auxiliary on the third feature map, main on the last; by their channels."""
    aux_head, main_head = (
        deeplabv2_head(aux, dilations, in_index=2),
        deeplabv2_head(main, dilations, in_index=3),
    )
    return {"type": "TwoOutputHead", "aux": aux_head, "main": main_head}


_RECIPE = recipe(optimizer="sgd", learning_rate=2.5e-4, weight_decay=5e-4, warmup=0, poly_power=0.9)


NETWORKS = (
    NetworkSpec(
        name="deeplabv2-multi-r101",
        backbone={"type": "CaffeResNet"},
        decode_head=two_classifiers(aux=1024, main=2048),
        start=StartWeights(
            "ImageNet-1k (Caffe)",
            "DeepLab_resnet_pretrained_imagenet.pth",
            "the release of ADVENT's code, valeoai/ADVENT",
        ),
        recipe=_RECIPE,
        normalisation=CAFFE,
    ),
    NetworkSpec(
        name="deeplabv2-pixmatch-r101",
        backbone={"type": "CaffeResNet", "trained_norms": True},
        decode_head=two_classifiers(aux=1024, main=2048, dilations=TWO_BRANCHES),
        start=StartWeights(
            "ImageNet-1k (Caffe)",
            "DeepLab_resnet_pretrained_init-f81d91e8.pth",
            "the release of PixMatch's code, lukemelas/pixmatch, section Initial Models",
        ),
        recipe=_RECIPE,
        normalisation=CAFFE,
    ),
    NetworkSpec(
        name="deeplabv2-multi-mini",
        backbone=MINI_RESNET,
        decode_head=two_classifiers(aux=128, main=256),
        start=shipped("resnet-mini.safetensors"),
        recipe=recipe(learning_rate=2e-3, head_lr_factor=1.0),
    ),
)
