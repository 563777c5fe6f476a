"""The DAFormer decoder with its published fusions, on MiT; the SegFormer decoder is one of them.

Source: Hoyer et al., DAFormer, arXiv 2111.14887, section 3.2 and table 7. Parameters carry the published names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.networks.depthwise import QuickDepthwiseConv2d
from adaptbench.networks.inference import resize
from adaptbench.networks.isa import InterlacedAttention
from adaptbench.networks.mit import START_WEIGHTS, VARIANTS
from adaptbench.networks.segmentor import NetworkSpec
from adaptbench.optim.recipe import recipe

Fusion: TypeAlias = Literal["separable_aspp", "aspp", "isa", "conv"]

_NORM_AND_RELU: Mapping[str, Any] = {"norm_cfg": {"type": "BN"}, "act_cfg": {"type": "ReLU"}}
_DILATED: Mapping[str, Any] = {"conv_cfg": {"type": QuickDepthwiseConv2d}, **_NORM_AND_RELU}


class ASPP(nn.Module):
    """Parallel dilated convolutions, concatenated and merged by a 3x3 convolution; no image pooling.

    Every convolution is followed by batch norm and ReLU. At dilation 1 it is a 1x1 convolution, elsewhere a 3x3
    one, as separable as asked for (depthwise 3x3, then pointwise, each with batch norm and ReLU).

    Source: DAFormer, arXiv 2111.14887, section 3.2; docs/quirks.md#s4.
    """

    def __init__(self, in_channels: int, channels: int, dilations: Sequence[int], separable: bool) -> None:
        super().__init__()
        wide: Callable[..., nn.Module] = DepthwiseSeparableConvModule if separable else ConvModule
        self.aspp_modules = nn.ModuleList(
            ConvModule(in_channels, channels, 1, **_NORM_AND_RELU)
            if dilation == 1
            else wide(in_channels, channels, 3, padding=dilation, dilation=dilation, **_DILATED)
            for dilation in dilations
        )
        self.bottleneck = ConvModule(len(dilations) * channels, channels, 3, padding=1, **_NORM_AND_RELU)

    def forward(self, features: Tensor) -> Tensor:
        """Shape: ``(B, in_channels, h, w)`` to ``(B, channels, h, w)``."""
        branches = torch.cat([branch(features) for branch in self.aspp_modules], dim=1)
        out: Tensor = self.bottleneck(branches)
        return out


class _Embedding(nn.Module):
    """A linear layer over the channels; a module of its own for the published parameter names."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, width)

    def forward(self, features: Tensor) -> Tensor:
        """Shape: ``(B, in_channels, h, w)`` to ``(B, width, h, w)``."""
        tokens: Tensor = self.proj(features.flatten(2).transpose(1, 2))
        return tokens.reshape(features.shape[0], *features.shape[2:], -1).permute(0, 3, 1, 2)


@MODELS.register_module()
class DAFormerHead(nn.Module):
    """Embeds every feature map, brings them to the finest one's size and fuses them to logits.

    Args:
        in_channels: channels of the feature maps, fine to coarse.
        num_classes: number of logits.
        width: channels of the fused map and, unless stated, of the embeddings.
        fusion: ``separable_aspp`` (DAFormer), ``aspp``, ``isa`` (interlaced sparse self-attention) or ``conv``
            (1x1; together with linear embeddings, the SegFormer decoder).
        dilations: of the ASPP.
        context_at_deepest: embed the coarsest map, enlarged by 8, by a 1x1 convolution and a separable ASPP
            instead of a linear layer ("context only at F4").
        dropout: share of channels dropped in front of the classifier.
        embedding_width: channels of the embeddings; None = ``width``.
        attention_block: side of the blocks of the interlaced attention.

    Source: DAFormer, arXiv 2111.14887, section 3.2; docs/quirks.md#s4 to #s6.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        width: int = 256,
        fusion: Fusion = "separable_aspp",
        dilations: Sequence[int] = (1, 6, 12, 18),
        context_at_deepest: bool = False,
        dropout: float = 0.1,
        embedding_width: int | None = None,
        attention_block: int = 8,
    ) -> None:
        super().__init__()
        self.context_at_deepest = context_at_deepest
        self.conv_seg = nn.Conv2d(width, num_classes, 1)
        self.dropout = nn.Dropout2d(dropout)
        inner = width if embedding_width is None else embedding_width
        embeddings: list[nn.Module] = [_Embedding(channels, inner) for channels in in_channels]
        if context_at_deepest:
            context = ASPP(inner, inner, dilations, separable=True)
            embeddings[-1] = nn.Sequential(nn.Conv2d(in_channels[-1], inner, 1), context)
        self.embed_layers = nn.ModuleList(embeddings)
        self.fuse_layer = _fusion(fusion, inner * len(in_channels), width, dilations, attention_block)
        nn.init.normal_(self.conv_seg.weight, std=0.01)
        if self.conv_seg.bias is not None:
            nn.init.zeros_(self.conv_seg.bias)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Logits at the size of the finest feature map.

        Shape: maps ``(B, in_channels[i], h_i, w_i)``, fine to coarse, to ``(B, num_classes, h_0, w_0)``.
        """
        maps = list(features)
        if self.context_at_deepest:
            maps[-1] = functional.interpolate(maps[-1], scale_factor=8, mode="bilinear", align_corners=False)
        embedded = [embed(part) for embed, part in zip(self.embed_layers, maps, strict=True)]
        size = (features[0].shape[-2], features[0].shape[-1])
        fused = self.fuse_layer(torch.cat([resize(part, size) for part in embedded], dim=1))
        logits: Tensor = self.conv_seg(self.dropout(fused))
        return logits


def _fusion(kind: Fusion, in_channels: int, width: int, dilations: Sequence[int], block: int) -> nn.Module:
    """The module that turns concatenated embeddings into one map of ``width`` channels."""
    makers: dict[str, Callable[[], nn.Module]] = {
        "separable_aspp": lambda: ASPP(in_channels, width, dilations, separable=True),
        "aspp": lambda: ASPP(in_channels, width, dilations, separable=False),
        "isa": lambda: InterlacedAttention(in_channels, width, block),
        "conv": lambda: ConvModule(in_channels, width, 1, **_NORM_AND_RELU),
    }
    if kind not in makers:
        raise ValueError(f"fusion: expected one of {', '.join(makers)}, got {kind!r}")
    return makers[kind]()


def daformer_head(in_channels: Sequence[int], **changes: Any) -> dict[str, Any]:
    """Configuration of the decoder for any encoder with feature maps of these channels, fine to coarse."""
    return {"type": "DAFormerHead", "in_channels": tuple(in_channels), **changes}


def _network(name: str, encoder: str, **head: Any) -> NetworkSpec:
    backbone = VARIANTS[encoder]
    return NetworkSpec(name, backbone, daformer_head(backbone["channels"], **head), START_WEIGHTS[encoder])


def _mini(name: str, **head: Any) -> NetworkSpec:
    """The small encoder under a decoder of 48 channels."""
    network = _network(f"{name}-mini", "mini", **{"width": 48, **head})
    return replace(network, recipe=recipe(learning_rate=6e-3, head_lr_factor=1.0))


#: Published changes of the decoder, by the prefix of the network's name; DAFormer, arXiv 2111.14887, table 7.
DECODERS: Mapping[str, Mapping[str, Any]] = {
    "daformer_conv": {"fusion": "conv"},
    "daformer_aspp": {"fusion": "aspp"},
    "daformer_isa": {"fusion": "isa"},
    "daformer_f4": {"fusion": "conv", "context_at_deepest": True},
}
#: Width of SegFormer's own decoder by encoder; SegFormer, arXiv 2105.15203, section 4.1.
_SEGFORMER_WIDTHS: Mapping[str, int] = {f"mit_b{size}": 256 if size < 2 else 768 for size in range(6)}

NETWORKS = (
    *(_network(f"daformer-{encoder}", encoder) for encoder in _SEGFORMER_WIDTHS),
    *(
        _network(f"segformer-{encoder}", encoder, fusion="conv", width=width)
        for encoder, width in _SEGFORMER_WIDTHS.items()
    ),
    *(_network(f"{name}-mit_b5", "mit_b5", **changes) for name, changes in DECODERS.items()),
    _mini("daformer"),
    _mini("segformer", fusion="conv", width=144),  # three times as wide as daformer_conv, as on MiT-B5
    *(_mini(name, **changes) for name, changes in DECODERS.items()),
)
