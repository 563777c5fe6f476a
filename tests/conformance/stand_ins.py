"""Stand-ins of the adversarial family's recorded cases: tiny networks with two outputs, and their recorded names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from adaptbench.contracts.profiles import profile
from adaptbench.contracts.task import Task
from adaptbench.networks import Segmentor
from adaptbench.networks.deeplabv2 import DeepLabV2Head
from adaptbench.networks.deeplabv2_multi import FOUR_BRANCHES, CaffeResNet, two_classifiers
from adaptbench.networks.two_outputs import TwoOutputHead

from .case import Case
from .case_facts import class_set_of

#: Recorded names -> ours, in this order; what matches none is the encoder's.
_MODEL = (
    (r"^(backbone\.)?extractor\.", "backbone."),
    (r"^(layer5\.conv2d_list|auxiliary_head\.aspp_modules)\.(\d+)(\.conv)?", r"decode_head.aux.aspp_modules.\2.conv"),
    (r"^(layer6\.conv2d_list|decode_head\.aspp_modules)\.(\d+)(\.conv)?", r"decode_head.main.aspp_modules.\2.conv"),
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


def tiny_network(
    case: Case, dilations: Sequence[int], trained_norms: bool, auxiliary: bool = True
) -> Segmentor:
    """The tiny extractor with a main head on its second and, unless left out, an auxiliary one on its first level."""
    widths, classes = case.hyper("widths"), case.hyper("num_classes")
    if not auxiliary:
        only = DeepLabV2Head(widths[3], classes, tuple(dilations), in_index=1)
        return Segmentor(TinyExtractor(widths, trained_norms), only)
    heads = [
        {"type": "DeepLabV2Head", "in_channels": widths[2 + i], "in_index": i, "dilations": tuple(dilations)}
        for i in (0, 1)
    ]
    head = TwoOutputHead(main=heads[1], aux=heads[0], num_classes=classes)
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
    return Task("conformance", "uda", class_set_of(case.hyper("num_classes")), profile("paper"))


def our_name(recorded: str, two_outputs: bool = True) -> str:
    """Our name of a tensor of the network."""
    for pattern, ours in _MODEL:
        if re.match(pattern, recorded):
            name = re.sub(pattern, ours, recorded)
            return name if two_outputs else name.replace("decode_head.main.", "decode_head.")
    raise AssertionError(f"no name of ours for {recorded}")


def our_layer(recorded: str) -> str:
    """Our name of a tensor of a discriminator."""
    layer, _, kind = recorded.partition(".")
    return f"{_LAYERS.get(layer, layer)}.{kind}"


def unused(recorded: str) -> bool:
    """Whether the reference never evaluates this tensor of the network of EHTDI, and ours lacks it."""
    return (
        re.search(r"conv2d_list\.([2-9]|\d\d+)\.|^proto_classifier\.|^para$|^fuse_weight_1$", recorded)
        is not None
    )
