"""The networks of VFM-UDA: a DINOv2 encoder under a light decoder.

Source: Englert et al., Exploring the Benefits of Vision Foundation Models for Unsupervised Domain Adaptation,
arXiv 2406.09896, section 3. Layers of the decoder carry the published numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg.registry import MODELS
from torch import Tensor, nn

from adaptbench.networks.segmentor import NetworkSpec
from adaptbench.networks.start_weights import timm_weights
from adaptbench.optim.recipe import recipe

_EPSILON = 1e-6
#: Width of the encoder by its name in timm's.
_WIDTHS = {"small": 384, "base": 768, "large": 1024}
#: Factor on the sides of an image.
SCALE = 1.1


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of every pixel. Shape: ``(B, c, h, w)``, unchanged."""

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return super().forward(features.movedim(1, -1)).movedim(-1, 1)


@MODELS.register_module()
class LightHead(nn.Module):
    """Two transposed convolutions and a 3x3 one, all without bias, with a norm each and one GELU, then the classifier.

    Args:
        in_channels: of the encoder's map.
        num_classes: number of logits.

    Source: VFM-UDA, arXiv 2406.09896, section 3; docs/quirks.md#v6.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        half, quarter = in_channels // 2, in_channels // 4
        self.upscale = nn.Sequential(
            nn.ConvTranspose2d(in_channels, half, 2, stride=2, bias=False),
            ChannelNorm(half, eps=_EPSILON),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, stride=2, bias=False),
            ChannelNorm(quarter, eps=_EPSILON),
            nn.Conv2d(quarter, quarter, 3, padding=1, bias=False),
            ChannelNorm(quarter, eps=_EPSILON),
        )
        self.out = nn.Conv2d(quarter, num_classes, 1, bias=False)
        nn.init.normal_(self.out.weight, std=0.1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Logits at four times the grid of the last map. Shape: ``(B, c, h, w)`` to ``(B, C, 4h, 4w)``."""
        logits: Tensor = self.out(self.upscale(features[-1]))
        return logits


#: The published one at 8 images: 5e-5 times their root, of which the encoder has a tenth.
LEARNING_RATE = 5e-6 * 8**0.5
_RECIPE = recipe(
    learning_rate=LEARNING_RATE,
    norm_weight_decay=True,
    position_weight_decay=True,
    warmup_start=1e-3,
    warmup_decays=False,
)


def _published(size: str) -> NetworkSpec:
    model = f"vit_{size}_patch14_dinov2"
    head, start = light_head(_WIDTHS[size]), timm_weights(model, "lvd142m")
    return NetworkSpec(f"vfm_uda-dinov2_{size}", _encoder(model), head, start, _RECIPE)


def _encoder(model: str) -> dict[str, Any]:
    return {"type": "PlainViT", "model": model, "scale": SCALE, "positions": "dinov2", "mask_token": True}


def light_head(width: int) -> dict[str, Any]:
    """Configuration of the decoder on an encoder of this width."""
    return {"type": "LightHead", "in_channels": width}


def _mini() -> NetworkSpec:
    """A small encoder from random weights: the sides of its patches are those of the published ones, not a quarter."""
    sizes = {
        "patch_size": 16,
        "embed_dim": 192,
        "depth": 6,
        "num_heads": 3,
        "init_values": 1e-5,
        "img_size": 272,
    }
    backbone = {**_encoder("vit_tiny_patch16_224"), "options": sizes}
    return NetworkSpec("vfm_uda-mini", backbone, light_head(192), recipe={**_RECIPE, "learning_rate": 1e-4})


NETWORKS = (*map(_published, _WIDTHS), _mini())
