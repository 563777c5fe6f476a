"""MiT, the hierarchical transformer encoder of SegFormer, in its sizes B0 to B5.

Source: Xie et al., SegFormer, arXiv 2105.15203, section 3.1 and table 6. Parameters carry the published names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from adaptbench.networks.start_weights import StartWeights, shipped
from adaptbench.ranks.whole_batch import recomputing

#: Epsilon of the layer norms inside the blocks and after each stage.
BLOCK_NORM_EPS = 1e-6
#: Epsilon of the layer norms after each patch embedding and after the spatial reduction.
EMBED_NORM_EPS = 1e-5

_GELU_FORM = "none"  # the exact one, not the tanh approximation

MapSize = tuple[int, int]


class DropPath(nn.Module):
    """Stochastic depth: in training, drops a residual branch for whole samples and scales the kept ones.

    Source: Huang et al., arXiv 1603.09382.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """Shape: unchanged; the first axis counts the samples."""
        if self.rate == 0.0 or not self.training:
            return branch
        kept = torch.empty((branch.shape[0],) + (1,) * (branch.dim() - 1), device=branch.device)
        kept.bernoulli_(1.0 - self.rate)
        return branch * (kept / (1.0 - self.rate)).to(branch.dtype)


class PatchEmbed(nn.Module):
    """Overlapping patches: a strided convolution and a layer norm. Sizes are rounded up."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2)
        self.norm = nn.LayerNorm(channels, eps=EMBED_NORM_EPS)

    def forward(self, image: Tensor) -> tuple[Tensor, MapSize]:
        """Tokens, row by row, and the size of their map.

        Shape: ``(B, in_channels, H, W)`` to ``(B, h * w, channels)`` with h = ceil(H / stride).
        """
        projected = self.proj(image)
        tokens: Tensor = self.norm(_to_tokens(projected))
        return tokens, (projected.shape[-2], projected.shape[-1])


class Attention(nn.Module):
    """Multi-head self-attention with keys and values from a spatially reduced map.

    Patches with sides of ``reduction`` tokens are merged before keys and values; a remainder is dropped.

    Source: SegFormer, arXiv 2105.15203, equations 1 and 2.
    """

    def __init__(self, channels: int, heads: int, reduction: int, qkv_bias: bool = True) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"channels: expected a multiple of {heads} heads, got {channels}")
        self.heads = heads
        self.q = nn.Linear(channels, channels, bias=qkv_bias)
        self.kv = nn.Linear(channels, 2 * channels, bias=qkv_bias)
        self.proj = nn.Linear(channels, channels)
        self.sr: nn.Conv2d | None = None
        if reduction > 1:
            self.sr = nn.Conv2d(channels, channels, reduction, reduction)
            self.norm = nn.LayerNorm(channels, eps=EMBED_NORM_EPS)

    def forward(self, tokens: Tensor, size: MapSize) -> Tensor:
        """Shape: tokens ``(B, h * w, channels)``, size (h, w); returns the shape of tokens."""
        reduced = tokens if self.sr is None else self.norm(_to_tokens(self.sr(_to_map(tokens, size))))
        query = self._split(self.q(tokens))
        key, value = (self._split(part) for part in self.kv(reduced).chunk(2, dim=-1))
        attended = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return out

    def _split(self, tokens: Tensor) -> Tensor:
        """Shape: ``(B, N, channels)`` to ``(B, heads, N, channels / heads)``."""
        return tokens.view(*tokens.shape[:2], self.heads, -1).transpose(1, 2)


class _DepthwiseConv(nn.Module):
    """A 3x3 depthwise convolution of tokens; a module of its own for the published parameter names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, tokens: Tensor, size: MapSize) -> Tensor:
        return _to_tokens(self.dwconv(_to_map(tokens, size)))


class MixFFN(nn.Module):
    """Feed-forward network with a 3x3 depthwise convolution in the place of a position embedding.

    Source: SegFormer, arXiv 2105.15203, equation 3.
    """

    def __init__(self, channels: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.dwconv = _DepthwiseConv(hidden)
        self.fc2 = nn.Linear(hidden, channels)
        self.drop = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, size: MapSize) -> Tensor:
        """Shape: tokens ``(B, h * w, channels)``, size (h, w); returns the shape of tokens."""
        hidden = functional.gelu(self.dwconv(self.fc1(tokens), size), approximate=_GELU_FORM)
        out: Tensor = self.drop(self.fc2(self.drop(hidden)))
        return out


class Block(nn.Module):
    """Attention and feed-forward network, each behind a layer norm and around a residual connection."""

    def __init__(
        self, channels: int, heads: int, reduction: int, mlp_ratio: float, qkv_bias: bool, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=BLOCK_NORM_EPS)
        self.attn = Attention(channels, heads, reduction, qkv_bias)
        self.norm2 = nn.LayerNorm(channels, eps=BLOCK_NORM_EPS)
        self.mlp = MixFFN(channels, int(channels * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor, size: MapSize) -> Tensor:
        """Shape: tokens ``(B, h * w, channels)``, size (h, w); returns the shape of tokens."""
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens), size))
        out: Tensor = tokens + self.drop_path(self.mlp(self.norm2(tokens), size))
        return out


@MODELS.register_module(name="MiT")
class MiT(nn.Module):
    """Mix transformer: four stages of overlapping patches and transformer blocks, at strides 4, 8, 16, 32.

    Each stage reads the normalised map of the one before. Stochastic depth rises linearly to ``drop_path`` in the
    last block; the published trainings of DAFormer and HRDA leave it at 0.1. With ``checkpointing`` blocks are
    recomputed in the backward pass: less memory, more time, equal numbers.

    Attributes:
        style_hallucination: None, or a module between stages 1 and 2 that is called in training mode and may
            enlarge the batch (SHADE).

    Source: SegFormer, arXiv 2105.15203, section 3.1.
    """

    def __init__(
        self,
        channels: Sequence[int] = (64, 128, 320, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        heads: Sequence[int] = (1, 2, 5, 8),
        reductions: Sequence[int] = (8, 4, 2, 1),
        mlp_ratios: Sequence[float] = (4, 4, 4, 4),
        qkv_bias: bool = True,
        drop_path: float = 0.1,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.channels = tuple(channels)
        for stage, (before, width) in enumerate(pairwise((3, *channels))):
            kernel, stride = (7, 4) if stage == 0 else (3, 2)
            setattr(self, f"patch_embed{stage + 1}", PatchEmbed(before, width, kernel, stride))
        rates = iter(_linear(drop_path, sum(depths)))
        for stage, (width, depth) in enumerate(zip(channels, depths, strict=True)):
            options = (heads[stage], reductions[stage], mlp_ratios[stage], qkv_bias)
            blocks = [Block(width, *options, next(rates)) for _ in range(depth)]
            setattr(self, f"block{stage + 1}", nn.ModuleList(blocks))
            setattr(self, f"norm{stage + 1}", nn.LayerNorm(width, eps=BLOCK_NORM_EPS))
        self.style_hallucination: nn.Module | None
        self.register_module("style_hallucination", None)
        self.apply(_initialise)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Feature maps, fine to coarse. Shape: ``(B, 3, H, W)`` to four ``(B, c, ceil(H / s), ceil(W / s))``."""
        maps: list[Tensor] = []
        current = image
        for stage in (1, 2, 3, 4):
            current = self._stage(stage, current)
            if stage == 1 and self.training and self.style_hallucination is not None:
                current = self.style_hallucination(current)
            maps.append(current)
        return tuple(maps)

    def hallucinate(self, module: nn.Module) -> None:
        """Puts ``module`` between stages 1 and 2."""
        self.style_hallucination = module

    def first_stage(self, image: Tensor) -> Tensor:
        """The finest feature map alone. Shape: ``(B, 3, H, W)`` to ``(B, c, ceil(H / 4), ceil(W / 4))``."""
        return self._stage(1, image)

    def _stage(self, stage: int, image: Tensor) -> Tensor:
        tokens, size = self.get_submodule(f"patch_embed{stage}")(image)
        for block in self.get_submodule(f"block{stage}").children():
            tokens = self._run(block, tokens, size)
        return _to_map(self.get_submodule(f"norm{stage}")(tokens), size)

    def _run(self, block: nn.Module, tokens: Tensor, size: MapSize) -> Tensor:
        if self.checkpointing and self.training and torch.is_grad_enabled():
            out: Tensor = checkpoint(block, tokens, size, use_reentrant=False, **recomputing())
        else:
            out = block(tokens, size)
        return out


def _to_map(tokens: Tensor, size: MapSize) -> Tensor:
    """Shape: ``(B, h * w, C)`` to ``(B, C, h, w)``."""
    # Not by transposing first: a single image would then lose its channels-last order.
    return tokens.reshape(tokens.shape[0], *size, -1).permute(0, 3, 1, 2)


def _to_tokens(feature_map: Tensor) -> Tensor:
    """Shape: ``(B, C, h, w)`` to ``(B, h * w, C)``."""
    return feature_map.flatten(2).transpose(1, 2)


def _linear(last: float, count: int) -> list[float]:
    """``count`` numbers from 0 to ``last`` in equal steps."""
    return [last * index / max(count - 1, 1) for index in range(count)]


def _initialise(module: nn.Module) -> None:
    """Published initial weights: truncated normal (0.02) for linear layers, fan-out normal for convolutions."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2.0 / fan_out))
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def _variant(depths: tuple[int, ...], channels: tuple[int, ...] = (64, 128, 320, 512)) -> dict[str, Any]:
    return {"type": "MiT", "channels": channels, "depths": depths}


#: Backbone configurations by name; SegFormer, arXiv 2105.15203, table 6. ``mini`` is ours, for quick trainings.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "mit_b0": _variant((2, 2, 2, 2), (32, 64, 160, 256)),
    "mit_b1": _variant((2, 2, 2, 2)),
    "mit_b2": _variant((3, 4, 6, 3)),
    "mit_b3": _variant((3, 4, 18, 3)),
    "mit_b4": _variant((3, 8, 27, 3)),
    "mit_b5": _variant((3, 6, 40, 3)),
    "mini": {**_variant((2, 2, 2, 2), (16, 32, 64, 96)), "heads": (1, 2, 4, 6)},
}
#: What each variant starts from: SegFormer, arXiv 2105.15203, section 4.1.
START_WEIGHTS: Mapping[str, StartWeights] = {
    "mini": shipped("mit-mini.safetensors"),
    **{
        name: StartWeights(
            data="ImageNet-1k",
            file=f"{name}.pth",
            origin="folder pretrained_models of SegFormer's official release",
            hub=(f"smp-hub/{name}.imagenet", "model.safetensors"),
        )
        for name in VARIANTS
        if name != "mini"
    },
}
