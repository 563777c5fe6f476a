"""ImageNet weights for the dilated VGG-16, which has no dense layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from adaptbench.networks.pretrained.fit import fitted

#: Number of our layer that torchvision's fourth pooling comes before; later numbers there are larger by one.
_POOLED = 23
#: Our first convolution that VGG has no weights for.
_NEW = 29
#: Dense layers in torchvision's numbers, and in those of the Caffe weights, which count dropout before them.
_DENSE = {f"classifier.{layer}.{part}" for layer in (0, 1, 3, 4, 6) for part in ("weight", "bias")}


def vgg_state(tensors: Mapping[str, Tensor], state: Mapping[str, Tensor], origin: Path) -> dict[str, Tensor]:
    """The encoder's state dict: 13 convolutions from a file, and its own values of the last two.

    Tensors of the file are called as in torchvision; its dense layers are dropped.
    """
    ours = {_published_name(name): name for name in state if _number(name) < _NEW}
    kept = {name: tensor for name, tensor in tensors.items() if name not in _DENSE}
    expected = {published: state[name] for published, name in ours.items()}
    found = fitted(kept, expected, origin, "the encoder (VGG-16)")
    return {**state, **{ours[name]: tensor for name, tensor in found.items()}}


def _number(name: str) -> int:
    return int(name.split(".")[0])


def _published_name(name: str) -> str:
    number, part = name.split(".")
    return f"features.{int(number) + (int(number) >= _POOLED)}.{part}"
