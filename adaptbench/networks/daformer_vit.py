"""The DAFormer decoder on a plain vision transformer, whose maps are made into a pyramid: DINOv2 at patches of 16.

Rein and SoMA train DINOv2 so: maps of four blocks, enlarged and shrunk to the strides of a hierarchical encoder. Their
decoder is Mask2Former's, which needs compiled operators; this one takes its place.

Source: code of Rein (Wei et al., arXiv 2312.04265) and of SoMA (Yun et al., arXiv 2412.04077).
"""

from __future__ import annotations

from collections.abc import Sequence

from mmseg.registry import MODELS
from torch import Tensor
from torch.nn import functional

from adaptbench.networks.daformer import daformer_head
from adaptbench.networks.plain_vit import PlainViT
from adaptbench.networks.segmentor import NetworkSpec
from adaptbench.networks.start_weights import timm_weights
from adaptbench.optim.recipe import recipe

#: Factors on the sides of the four maps.
_FACTORS = (4.0, 2.0, 1.0, 0.5)
#: Blocks whose maps are used; of 24 the papers', of 12 every third.
_BLOCKS = {"base": (2, 5, 8, 11), "large": (7, 11, 15, 23)}
_WIDTHS = {"base": 768, "large": 1024}


@MODELS.register_module()
class ViTPyramid(PlainViT):
    """A plain vision transformer whose four maps are resized to a quarter, half, once and twice the patch."""

    def forward(self, image: Tensor, hidden: Tensor | None = None) -> Sequence[Tensor]:
        """Feature maps, fine to coarse; a map that cannot be halved loses its last row or column.

        Shape: as `PlainViT`, to ``(B, c, 4h, 4w)``, ``(B, c, 2h, 2w)``, ``(B, c, h, w)`` and ``(B, c, h/2, w/2)``.
        """
        maps = super().forward(image, hidden)
        return [_scaled(one, factor) for one, factor in zip(maps, _FACTORS, strict=True)]


def _scaled(features: Tensor, factor: float) -> Tensor:
    if factor == 1.0:
        return features
    return functional.interpolate(features, scale_factor=factor, mode="bilinear", align_corners=False)


def _published(size: str) -> NetworkSpec:
    model = f"vit_{size}_patch14_dinov2"
    backbone = {
        "type": "ViTPyramid",
        "model": model,
        "options": {"patch_size": 16, "img_size": 512},
        "blocks": _BLOCKS[size],
    }
    head, start = daformer_head((_WIDTHS[size],) * 4), timm_weights(model, "lvd142m")
    return NetworkSpec(f"daformer-dinov2_{size}", backbone, head, start, recipe={})  # methods have their own


def _mini() -> NetworkSpec:
    """A small encoder from random weights."""
    options = {"patch_size": 16, "embed_dim": 96, "depth": 4, "num_heads": 3, "img_size": 128}
    backbone = {
        "type": "ViTPyramid",
        "model": "vit_tiny_patch16_224",
        "options": options,
        "blocks": (0, 1, 2, 3),
    }
    trained = recipe(learning_rate=1e-3, head_lr_factor=1.0)
    return NetworkSpec("daformer-vit-mini", backbone, daformer_head((96,) * 4, width=48), recipe=trained)


NETWORKS = (*map(_published, _BLOCKS), _mini())
