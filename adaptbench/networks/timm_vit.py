"""Plain vision transformers of timm (DINOv2, DINOv3, EVA-02, CLIP, SigLIP, MAE), under any of the decoders.

They are seen as `PlainViT` sees them, with patches of the size that their weights were trained with. Positions may be a
learnt table, rotations, or both, but not learnt rotations.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch

from adaptbench.networks.daformer import daformer_head
from adaptbench.networks.deeplabv2 import deeplabv2_head
from adaptbench.networks.linear_head import linear_head
from adaptbench.networks.vfm_uda import SCALE, light_head


class Transformer(NamedTuple):
    """What is to be known of a plain vision transformer.

    Attributes:
        width: channels of its tokens.
        depth: number of its blocks.
    """

    width: int
    depth: int


@lru_cache(maxsize=64)
def plain_transformer(model: str) -> Transformer | None:
    """What timm calls ``model``, if that is a plain vision transformer with positions that fit any grid."""
    import timm
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    with torch.device("meta"):
        built = timm.create_model(model, pretrained=False)
    rotated = isinstance(built, Eva) and built.rope is not None and not built.rope_mixed
    placed = isinstance(built, VisionTransformer) and built.pos_embed is not None
    if not (rotated or placed) or hasattr(built, "dist_token"):
        return None
    return Transformer(built.embed_dim, len(built.blocks))


def parts(decoder: str, model: str, encoder: Transformer) -> tuple[dict[str, Any], dict[str, Any]]:
    """Configurations of encoder and decoder; ``decoder`` is a prefix of `timm_encoder.DECODERS`."""
    backbone = {"type": "PlainViT", "model": model, "positions": "dinov2" if "dinov2" in model else "timm"}
    if decoder == "daformer-timm":
        blocks = tuple(encoder.depth * part // 4 - 1 for part in range(1, 5))  # the last ones of its quarters
        return {**backbone, "type": "ViTPyramid", "blocks": blocks}, daformer_head((encoder.width,) * 4)
    if decoder == "vfm_uda-timm":
        return {**backbone, "scale": SCALE, "mask_token": True}, light_head(encoder.width)
    head = linear_head if decoder == "linear-timm" else deeplabv2_head
    return backbone, head(encoder.width)
