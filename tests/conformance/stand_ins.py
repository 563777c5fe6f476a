"""Stand-ins of the adversarial family's recorded cases: tiny networks with two outputs, and their recorded names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional

from adaptbench.contracts.profiles import profile
from adaptbench.contracts.task import Task
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.networks import Segmentor
from adaptbench.networks.deeplabv2_multi import FOUR_BRANCHES, CaffeResNet, two_classifiers
from adaptbench.networks.two_outputs import TwoOutputHead

from .case import Case

#: Recorded names -> ours, in this order; what matches none is the encoder's.
_MODEL = (
    (r"^(backbone\.)?extractor\.", "backbone."),
    (r"^(layer5\.conv2d_list|auxiliary_head\.aspp_modules)\.(\d)(\.conv)?", r"decode_head.aux.aspp_modules.\2.conv"),
    (r"^(layer6\.conv2d_list|decode_head\.aspp_modules)\.(\d)(\.conv)?", r"decode_head.main.aspp_modules.\2.conv"),
    (r"^(conv1|bn1|layer[1-4])\.", r"backbone.\1."),
)  # fmt: skip
#: Layers of a discriminator where the reference names them.
_LAYERS = {"conv1": "0", "conv2": "2", "conv3": "4", "conv4": "6", "classifier": "8"}


class TinyExtractor(nn.Module):
    """Four convolutions, overall stride 8; the case files' README has the table. Gives the last two levels."""

    def __init__(self, widths: Sequence[int], trained_norms: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0]).requires_grad_(trained_norms)
        self.conv2 = nn.Conv2d(widths[0], widths[1], 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(widths[1]).requires_grad_(trained_norms)
        self.conv3 = nn.Conv2d(widths[1], widths[2], 3, stride=2, padding=1)
        self.conv4 = nn.Conv2d(widths[2], widths[3], 3, padding=2, dilation=2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = functional.relu(self.bn1(self.conv1(image)))
        features = functional.relu(self.bn2(self.conv2(features)))
        level_a = functional.relu(self.conv3(features))
        return level_a, functional.relu(self.conv4(level_a))


def tiny_network(case: Case, dilations: Sequence[int], trained_norms: bool) -> Segmentor:
    """The tiny extractor with an auxiliary head on its first and a main head on its second level."""
    widths = case.hyper("widths")
    heads = [
        {"type": "DeepLabV2Head", "in_channels": widths[2 + i], "in_index": i, "dilations": tuple(dilations)}
        for i in (0, 1)
    ]
    head = TwoOutputHead(main=heads[1], aux=heads[0], num_classes=case.hyper("num_classes"))
    return Segmentor(TinyExtractor(widths, trained_norms), head)


def small_deeplab(
    case: Case, dilations: Sequence[int] = FOUR_BRANCHES, trained_norms: bool = False
) -> Segmentor:
    """The narrow twin of the published network."""
    planes = case.hyper("planes")
    config = two_classifiers(4 * planes[2], 4 * planes[3], dilations)
    head = TwoOutputHead(config["main"], config["aux"], case.hyper("num_classes"))
    backbone = CaffeResNet(case.hyper("stem"), planes, case.hyper("blocks"), trained_norms)
    return Segmentor(backbone, head)


def task_of(case: Case) -> Task:
    """A problem with the number of classes of the case."""
    number = case.hyper("num_classes")
    classes = replace(
        CITYSCAPES19, classes=CITYSCAPES19.classes[:number], palette=CITYSCAPES19.palette[:number]
    )
    return Task("conformance", "uda", classes, profile("paper"))


def our_name(recorded: str) -> str:
    """Our name of a tensor of the network."""
    for pattern, ours in _MODEL:
        if re.match(pattern, recorded):
            return re.sub(pattern, ours, recorded)
    raise AssertionError(f"no name of ours for {recorded}")


def our_layer(recorded: str) -> str:
    """Our name of a tensor of a discriminator."""
    layer, _, kind = recorded.partition(".")
    return f"{_LAYERS.get(layer, layer)}.{kind}"


def unused(recorded: str) -> bool:
    """Whether the reference never evaluates this tensor of the network of EHTDI, and ours lacks it."""
    return re.search(r"conv2d_list\.[23]\.|^proto_classifier\.|^para$|^fuse_weight_1$", recorded) is not None
