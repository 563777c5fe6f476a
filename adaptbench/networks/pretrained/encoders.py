"""ImageNet weights for our encoders, from files in any of the published namings."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adaptbench.errors import WeightsError
from adaptbench.networks.dilated_vgg import DilatedVGG
from adaptbench.networks.plain_vit import PlainViT
from adaptbench.networks.pretrained.efficientnet import in_timm_names
from adaptbench.networks.pretrained.fit import fitted
from adaptbench.networks.pretrained.foreign import listed
from adaptbench.networks.pretrained.namings import CLASSIFIERS, NAMINGS, Naming, recognised, without_prefix
from adaptbench.networks.pretrained.plain_transformer import transformer_state
from adaptbench.networks.pretrained.vgg import vgg_state
from adaptbench.networks.timm_backbone import TimmEncoder

#: Files for ResNets with a deep stem, by the number of blocks in the third stage.
_V1C_FILES: Mapping[int, str] = {
    2: "resnet18_v1c-b5776b93.pth of open-mmlab",
    6: "resnet50_v1c-2cccc1ad.pth of open-mmlab, or timm's resnet50c.gluon_in1k",
    23: "resnet101_v1c-e67eebb6.pth of open-mmlab, or timm's resnet101c.gluon_in1k",
}


@dataclass(frozen=True)
class _Target:
    """An encoder, seen as what it may be filled with.

    Attributes:
        title: in words, for messages.
        expected: its state dict by the names a file would use.
        ours: name in a file -> name in our encoder.
        droppable: names of a file that the encoder has no use for.
        whole: names of the whole model that the encoder is a part of, in its order; of timm's models alone.
    """

    title: str
    expected: dict[str, Tensor]
    ours: dict[str, str]
    droppable: Collection[str]
    whole: Collection[str] = ()


def encoder_state(tensors: Mapping[str, Tensor], backbone: nn.Module, origin: Path) -> dict[str, Tensor]:
    """The state dict of an encoder, from the tensors of an ImageNet file.

    The naming is recognised from the names: of MiT, mmsegmentation's ResNets, VGG, EfficientNet, plain vision
    transformers (`plain_transformer`) and any timm encoder;
    others take files with their own names only. Only classifiers are dropped (of a timm model: all that comes behind
    its last feature map); counters of batches that old files lack are 0.

    Raises:
        WeightsError: the file is of another encoder or size; names what is missing, surplus or of another shape.
    """
    if isinstance(backbone, DilatedVGG):
        return vgg_state(tensors, backbone.state_dict(), origin)
    if isinstance(backbone, PlainViT):
        return transformer_state(tensors, backbone, origin)
    target = _target(backbone)
    found = in_timm_names(without_prefix(tensors, ("backbone.", "Scale.")), target.whole)
    own, foreign = recognised(target.expected), recognised(found)
    if own is not None:
        target, found = _in_common_names(target, own, found, foreign, origin)
    kept = {name: tensor for name, tensor in found.items() if name not in target.droppable}
    state = fitted(kept, target.expected, origin, target.title, _hint(target, own, found, foreign))
    return {target.ours[name]: tensor for name, tensor in state.items()}


def _target(backbone: nn.Module) -> _Target:
    state = backbone.state_dict()
    if isinstance(backbone, TimmEncoder):
        return _timm_target(backbone.model, state)
    title = f"the encoder ({type(backbone).__name__})"
    return _Target(title, state, {name: name for name in state}, CLASSIFIERS)


def _timm_target(features: Any, state: Mapping[str, Tensor]) -> _Target:
    """Feature pyramids join some dotted names by underscores; the whole model has the names of the files."""
    model = features.pretrained_cfg["architecture"]
    whole = _whole_names(model)
    dotted = {name.replace(".", "_"): name for name in whole}
    ours = {}
    for name in state:
        inner = name.removeprefix("model.").removeprefix("model.")
        ours[dotted.get(inner.replace(".", "_"), inner)] = name
    expected = {inner: state[name] for inner, name in ours.items()}
    return _Target(
        f"the encoder timm:{model}", expected, ours, {*CLASSIFIERS, *whole} - set(ours), list(whole)
    )


@cache
def _whole_names(model: str) -> tuple[str, ...]:
    """Names of the tensors of a whole timm model, in its order; it is built without weights, once per process."""
    import timm

    with torch.device("meta"):
        return tuple(timm.create_model(model, pretrained=False).state_dict())


def _in_common_names(
    target: _Target, own: Naming, found: Mapping[str, Tensor], foreign: Naming | None, origin: Path
) -> tuple[_Target, dict[str, Tensor]]:
    """Both in the names that all files of the family are converted to."""
    if foreign is None:
        known = ", ".join(f"{naming.family} in {naming.title} names" for naming in NAMINGS)
        raise WeightsError(
            f"{origin} is no ImageNet file for {target.title}: its names ({listed(dict(found), 4)}) are of no known "
            f"kind. Known: {known}."
        )
    if own.family.split()[0] != foreign.family.split()[0]:
        raise WeightsError(
            f"{origin} holds a {foreign.family} in {foreign.title} names, but {target.title} is a {own.family}."
        )
    if own is foreign:
        return target, dict(found)
    common = own.convert(target.expected)
    if len(common) != len(target.expected):
        raise WeightsError(
            f"{origin} has {foreign.title} names; {target.title} takes only files with {own.title} names."
        )
    ours = dict(zip(common, target.ours.values(), strict=True))
    droppable = {name for name in target.droppable if name not in common}
    return _Target(target.title, common, ours, droppable), foreign.convert(found)


def _hint(target: _Target, own: Naming | None, found: Mapping[str, Tensor], foreign: Naming | None) -> str:
    """What is known to be behind a misfit of two ResNets."""
    if own is None or foreign is None or own.family == "MiT":
        return ""
    if own.family != foreign.family:
        return _stems(target, deep=own.family == "ResNet with a deep stem")
    pooled = found.get("layer2.0.downsample.1.weight")
    if pooled is not None and pooled.dim() == 4 and "layer2.0.downsample.0.weight" in target.expected:
        return "The file is of a ResNet-D, whose shortcuts pool before they convolve; the network's do not."
    return ""


def _stems(target: _Target, deep: bool) -> str:
    if not deep:
        return (
            "The file has the stem of three 3x3 convolutions of ResNet v1c; the network has torchvision's single 7x7 "
            "convolution: use a file of torchvision, or timm's resnet50 or resnet101."
        )
    blocks = {m[1] for name in target.expected if (m := re.match(r"layer3\.(\d+)\.", name))}
    files = _V1C_FILES.get(len(blocks), "a file of the same depth in open-mmlab's v1c or timm's c form")
    return (
        "The file has the single 7x7 convolution of torchvision's ResNet as its stem; the network (deeplabv2-r101, for "
        f"example) has the three 3x3 convolutions of ResNet v1c: use {files}."
    )
