"""How published files name the tensors of MiT and ResNet encoders, and what that is called here.

Each naming is recognised by names that no other one has. MiT is called here as in the official SegFormer files, ResNet
as in torchvision's; the stem of three 3x3 convolutions as in open-mmlab's ResNet v1c.

Source: the official SegFormer, mmsegmentation's and transformers' converters of it, torchvision, timm, mmpretrain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]
Family = Literal["MiT", "ResNet", "ResNet with a deep stem"]
#: (pattern, replacement), tried in order; the first pattern that matches the whole name decides.
Rules = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]

#: DeepLab's classifier, four dilated convolutions, which the Caffe weights of ADVENT and IntraDA come with.
_DILATED = tuple(f"layer5.conv2d_list.{branch}" for branch in range(4))
#: Classifiers of the published ImageNet files: the only tensors that are ever dropped.
CLASSIFIERS = frozenset(
    f"{layer}.{part}"
    for layer in ("head", "fc", "classifier", "head.fc", *_DILATED)
    for part in ("weight", "bias")
)


@dataclass(frozen=True)
class Naming:
    """One way to name the tensors of an encoder.

    Attributes:
        title: whose it is, for messages.
        family: the encoder.
        mark: a pattern that some name matches if and only if the file is named this way.
        convert: from these names to ours.
    """

    title: str
    family: Family
    mark: str
    convert: Callable[[Tensors], dict[str, Tensor]]


def recognised(names: Tensors) -> Naming | None:
    """The naming of a file, or None."""
    for naming in NAMINGS:
        if any(re.fullmatch(naming.mark, name) for name in names):
            return naming
    return None


def without_prefix(tensors: Tensors, prefixes: Sequence[str]) -> dict[str, Tensor]:
    """``tensors`` without a prefix that all names but those of classifiers share."""
    for prefix in prefixes:
        inner = [name for name in tensors if name not in CLASSIFIERS]
        if inner and all(name.startswith(prefix) for name in inner):
            return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return dict(tensors)


def _renamed(tensors: Tensors, rules: Rules) -> dict[str, Tensor]:
    return {_rename(name, rules): tensor for name, tensor in tensors.items()}


def _rename(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    return name


def _stage(form: str) -> Callable[[re.Match[str]], str]:
    """What fills ``form`` with the groups of a match; the first one, a stage counted from 0, is counted from 1."""
    return lambda match: form.format(int(match[1]) + 1, *match.groups()[1:])


_MMSEG_MIT: Rules = (
    (r"layers\.(\d)\.0\.projection\.(\w+)", _stage("patch_embed{}.proj.{}")),
    (r"layers\.(\d)\.0\.norm\.(\w+)", _stage("patch_embed{}.norm.{}")),
    (r"layers\.(\d)\.1\.(\d+)\.attn\.attn\.out_proj\.(\w+)", _stage("block{}.{}.attn.proj.{}")),
    (r"layers\.(\d)\.1\.(\d+)\.attn\.attn\.in_proj_(\w+)", _stage("block{}.{}.attn.qkv.{}")),
    (r"layers\.(\d)\.1\.(\d+)\.ffn\.layers\.0\.(\w+)", _stage("block{}.{}.mlp.fc1.{}")),
    (r"layers\.(\d)\.1\.(\d+)\.ffn\.layers\.1\.(\w+)", _stage("block{}.{}.mlp.dwconv.dwconv.{}")),
    (r"layers\.(\d)\.1\.(\d+)\.ffn\.layers\.4\.(\w+)", _stage("block{}.{}.mlp.fc2.{}")),
    (r"layers\.(\d)\.1\.(\d+)\.(.+)", _stage("block{}.{}.{}")),
    (r"layers\.(\d)\.2\.(\w+)", _stage("norm{}.{}")),
)

_TRANSFORMERS_BLOCK = r"encoder\.block\.(\d)\.(\d+)\."
_TRANSFORMERS_MIT: Rules = (
    (r"encoder\.patch_embeddings\.(\d)\.proj\.(\w+)", _stage("patch_embed{}.proj.{}")),
    (r"encoder\.patch_embeddings\.(\d)\.layer_norm\.(\w+)", _stage("patch_embed{}.norm.{}")),
    (_TRANSFORMERS_BLOCK + r"attention\.self\.query\.(\w+)", _stage("block{}.{}.attn.q.{}")),
    (_TRANSFORMERS_BLOCK + r"attention\.self\.(key|value|sr)\.(\w+)", _stage("block{}.{}.attn.{}.{}")),
    (_TRANSFORMERS_BLOCK + r"attention\.self\.layer_norm\.(\w+)", _stage("block{}.{}.attn.norm.{}")),
    (_TRANSFORMERS_BLOCK + r"attention\.output\.dense\.(\w+)", _stage("block{}.{}.attn.proj.{}")),
    (_TRANSFORMERS_BLOCK + r"layer_norm_(\d)\.(\w+)", _stage("block{}.{}.norm{}.{}")),
    (_TRANSFORMERS_BLOCK + r"mlp\.dense(\d)\.(\w+)", _stage("block{}.{}.mlp.fc{}.{}")),
    (_TRANSFORMERS_BLOCK + r"(mlp\.dwconv\.dwconv\.\w+)", _stage("block{}.{}.{}")),
    (r"encoder\.layer_norm\.(\d)\.(\w+)", _stage("norm{}.{}")),
)


def _mmseg_mit(tensors: Tensors) -> dict[str, Tensor]:
    """There, one matrix makes queries, keys and values, and the feed-forward layers are 1x1 convolutions."""
    found: dict[str, Tensor] = {}
    for name, tensor in _renamed(tensors, _MMSEG_MIT).items():
        if ".attn.qkv." in name:
            width = len(tensor) // 3
            found[name.replace(".qkv.", ".q.")] = tensor[:width]
            found[name.replace(".qkv.", ".kv.")] = tensor[width:]
        elif re.fullmatch(r".*\.mlp\.fc\d\.weight", name) and tensor.dim() == 4:
            found[name] = tensor.flatten(1)
        else:
            found[name] = tensor
    return found


def _transformers_mit(tensors: Tensors) -> dict[str, Tensor]:
    """There, keys and values have a matrix each."""
    tensors = without_prefix(tensors, ("segformer.",))
    found = _renamed(tensors, _TRANSFORMERS_MIT)
    for name in [name for name in found if ".attn.key." in name]:
        value = name.replace(".key.", ".value.")
        if value in found:  # else it is reported as surplus
            found[name.replace(".key.", ".kv.")] = torch.cat([found.pop(name), found.pop(value)])
    return found


_TIMM_STEM: Rules = ((r"conv1\.(\d)\.(\w+)", r"stem.\1.\2"), (r"bn1\.(\w+)", r"stem.7.\1"))


def _layer(match: re.Match[str]) -> str:
    """The stem of mmpretrain: three modules of convolution and norm; of open-mmlab: nine layers in a row."""
    number, kind, part = match.groups()
    return f"stem.{3 * int(number) + (kind == 'bn')}.{part}"


_MMPRETRAIN_STEM: Rules = ((r"stem\.(\d)\.(conv|bn)\.(\w+)", _layer),)

_DEEP: Family = "ResNet with a deep stem"
NAMINGS = (
    Naming("the official SegFormer's", "MiT", r"patch_embed1\.proj\.weight", dict),
    Naming("mmsegmentation's", "MiT", r"layers\.0\.0\.projection\.weight", _mmseg_mit),
    Naming(
        "transformers'", "MiT", r"(segformer\.)?encoder\.patch_embeddings\.0\.proj\.weight", _transformers_mit
    ),
    Naming("timm's", _DEEP, r"conv1\.0\.weight", partial(_renamed, rules=_TIMM_STEM)),
    Naming("mmpretrain's", _DEEP, r"stem\.0\.conv\.weight", partial(_renamed, rules=_MMPRETRAIN_STEM)),
    Naming("open-mmlab's", _DEEP, r"stem\.0\.weight", dict),
    Naming("torchvision's", "ResNet", r"layer1\.0\.conv1\.weight", dict),
)
"""All namings; the first that is recognised is taken."""
