"""Any timm encoder under a decoder: ``timm:NAME``, ``daformer-timm:NAME``, ``linear-timm:NAME``, ``vfm_uda-timm:NAME``.

An encoder must take images of any size, because training crops and test images differ: convolutional networks do, and
of the hierarchical transformers, for example, Swin, PVTv2, Twins, DaViT, FocalNet, MViTv2 and TinyViT. Others, such
as MaxViT, CoAtNet, Hiera and NesT, have the size of their images built in; asking for them is an error. Feature maps
are taken as timm gives them, of plain vision transformers as `timm_vit` says. timm takes seconds to import, so only
when used.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import torch

from adaptbench.data.normalisation import IMAGENET, Normalisation
from adaptbench.errors import UsageError, unknown_name
from adaptbench.networks.daformer import daformer_head
from adaptbench.networks.deeplabv2 import deeplabv2_head
from adaptbench.networks.linear_head import linear_head
from adaptbench.networks.segmentor import NetworkSpec
from adaptbench.networks.start_weights import StartWeights, timm_weights
from adaptbench.networks.timm_backbone import TimmEncoder
from adaptbench.networks.timm_vit import parts, plain_transformer

#: Ways to ask timm for a model of any image size; the first that a model knows is used.
_ANY_SIZE: Sequence[Mapping[str, Any]] = ({"strict_img_size": False}, {"dynamic_img_size": True}, {})
#: Height and width of the images an encoder is tried with: multiples of 32, of no common ratio.
_TRIED = ((192, 320), (256, 160))
#: Encoder options and head configuration.
_Parts: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
#: Stride of the finest map that the DAFormer decoder reads.
_FINEST = 4
#: What timm's models raise when they are asked for what they cannot do.
_REFUSALS = (TypeError, NotImplementedError, AssertionError, RuntimeError, AttributeError, ValueError)


class _Pyramid(NamedTuple):
    """What an encoder gives.

    Attributes:
        options: with which timm builds it.
        channels_last: whether its feature maps are ``(B, h, w, c)``.
        channels: of its feature maps, fine to coarse.
        strides: of its feature maps, in pixels.
        aligned: whether the maps cover the image exactly, ``ceil(side / stride)`` cells along each side.
    """

    options: Mapping[str, Any]
    channels_last: bool
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    aligned: bool

    def backbone(self) -> dict[str, Any]:
        """Arguments of `TimmEncoder`."""
        return {"options": self.options, "channels_last": self.channels_last}


def timm_network(name: str) -> NetworkSpec:
    """The spec of ``DECODER:ENCODER``.

    Under the DeepLabV2 head an encoder is at output stride 8 where it can be dilated. Under the DAFormer decoder
    it keeps its strides, and all feature maps from stride 4 on are used.

    Raises:
        UsageError: timm has no such model, or it cannot be used; says why.
    """
    import timm

    decoder, _, model = name.partition(":")
    if not timm.is_model(model):
        raise unknown_name("timm model", model, timm.list_models())
    plain = plain_transformer(model)
    if plain is not None:
        backbone, head = parts(decoder, model, plain)
    else:
        backbone, head = _OTHERS[decoder](model)
        backbone = {"type": "TimmEncoder", "model": model, **backbone}
    return NetworkSpec(name, backbone, head, start=_start(model), normalisation=_normalisation(model))


def _deeplabv2(model: str) -> _Parts:
    """Encoder options and head configuration."""
    pyramid = _dilated(model)
    return pyramid.backbone(), deeplabv2_head(pyramid.channels[-1])


def _linear(model: str) -> _Parts:
    pyramid = _dilated(model)
    return pyramid.backbone(), linear_head(pyramid.channels[-1])


def _dilated(model: str) -> _Pyramid:
    """At output stride 8, if it can be."""
    try:
        return _pyramid(model, output_stride=8)
    except UsageError:
        return _pyramid(model)


def _light(model: str) -> _Parts:
    raise UsageError(
        f"vfm_uda-timm:{model}: the decoder of VFM-UDA is for plain vision transformers. Use one, or timm:{model} with "
        "the DeepLabV2 head."
    )


def _daformer(model: str) -> _Parts:
    pyramid = _pyramid(model)
    skip = sum(stride < _FINEST for stride in pyramid.strides)
    strides = pyramid.strides[skip:]
    if not pyramid.aligned:
        raise UsageError(
            f"daformer-timm:{model}: the feature maps of this encoder do not cover the image exactly, so that they "
            f"cannot be fused. Use another encoder, or timm:{model} with the DeepLabV2 head."
        )
    if len(set(strides)) < 2 or strides[0] != _FINEST:
        raise UsageError(
            f"daformer-timm:{model}: the DAFormer decoder fuses feature maps from stride {_FINEST} on, but those of "
            f"this encoder have strides {', '.join(map(str, pyramid.strides))}. Use a convolutional or "
            f"hierarchical encoder, or timm:{model} with the DeepLabV2 head."
        )
    return {**pyramid.backbone(), "skip": skip}, daformer_head(pyramid.channels[skip:])


_OTHERS: Mapping[str, Callable[[str], _Parts]] = {
    "timm": _deeplabv2,
    "daformer-timm": _daformer,
    "linear-timm": _linear,
    "vfm_uda-timm": _light,
}
#: What comes in front of the name of an encoder.
DECODERS = tuple(_OTHERS)


@lru_cache(maxsize=64)
def _pyramid(model: str, output_stride: int | None = None) -> _Pyramid:
    """What an encoder gives, found out on the meta device: shapes without weights."""
    dilated = {} if output_stride is None else {"output_stride": output_stride}
    for any_size in _ANY_SIZE:
        try:
            return _tried(model, {**any_size, **dilated})
        except _REFUSALS as error:
            reason = textwrap.shorten(str(error), 120) or type(error).__name__
    raise UsageError(
        f"timm:{model} cannot be used: an encoder has to give feature maps of images of any size; timm says: {reason}"
    )


def _tried(model: str, options: Mapping[str, Any]) -> _Pyramid:
    """Builds the encoder and shows it images of two sizes."""
    with torch.device("meta"), torch.no_grad():
        encoder = TimmEncoder(model, options).eval()
        seen = [encoder(torch.empty(1, 3, *size)) for size in _TRIED]
    info = encoder.model.feature_info
    channels, strides = tuple(info.channels()), tuple(info.reduction())
    found = [tuple(feature.shape[1:]) for features in seen for feature in features]
    channels_last = [shape[-1] for shape in found] == [*channels, *channels]
    if channels_last:
        found = [(shape[-1], *shape[:-1]) for shape in found]
    elif [shape[0] for shape in found] != [*channels, *channels]:
        raise ValueError(f"its feature maps have {found} channels, height and width, not {channels} channels")
    expected = [
        (c, -(-h // s), -(-w // s)) for h, w in _TRIED for c, s in zip(channels, strides, strict=True)
    ]
    return _Pyramid(options, channels_last, channels, strides, aligned=found == expected)


def _start(model: str) -> StartWeights | None:
    """The weights timm publishes for a model, if any."""
    import timm

    known = timm.models.get_pretrained_cfg(model)
    if known is None or not known.hf_hub_id:
        return None
    return timm_weights(model, known.tag or "pretrained", known.hf_hub_id)


def _normalisation(model: str) -> Normalisation:
    """That of the images which timm's weights were trained on."""
    import timm

    known = timm.models.get_pretrained_cfg(model)
    if known is None or (known.mean, known.std) == (
        timm.data.IMAGENET_DEFAULT_MEAN,
        timm.data.IMAGENET_DEFAULT_STD,
    ):
        return IMAGENET
    mean, std = ((255.0 * a, 255.0 * b, 255.0 * c) for a, b, c in (known.mean, known.std))
    return Normalisation(mean, std)
