"""Rein: learnt tokens change the features of a frozen vision transformer after every block.

Source: Wei et al., Rein, arXiv 2312.04265. Parameters carry the published names.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Rein(nn.Module):
    """Tokens of every block, and the layers that all blocks share.

    A feature is compared with the tokens of its block; what they answer, weighted by similarity, is added to the
    feature, goes through a linear layer and changes the feature by a learnt share. So the change has a part that is
    linear in the feature, with tokens of zero, too. The first token only takes weight away from the others.

    Args:
        layers: number of blocks.
        channels: of the features.
        tokens: per block.
        rank: of the factors whose product the tokens are; None = tokens of full rank.
        query_channels: of `queries`.
        patch: side of the patches in pixels; it bounds the start values of tokens.
        scale: share of the change at the start.
        softmax: whether similarities are scaled and add up to 1 over all tokens.
        start_at_zero: nothing is changed at the start: the layer in front of the change is zero, its share is 1 and
            is not learnt.

    Source: Rein, arXiv 2312.04265; docs/quirks.md#r1 to #r7.
    """

    def __init__(
        self,
        layers: int,
        channels: int,
        tokens: int = 100,
        rank: int | None = 16,
        query_channels: int = 256,
        patch: int = 16,
        scale: float = 1e-3,
        softmax: bool = True,
        start_at_zero: bool = False,
    ) -> None:
        super().__init__()
        self.softmax = softmax
        self.scale: float | nn.Parameter = 1.0 if start_at_zero else nn.Parameter(torch.tensor(scale))
        bound = start_bound(patch, channels, rank)
        if rank is None:
            self.learnable_tokens = _uniform(bound, layers, tokens, channels)
        else:
            self.learnable_tokens_a = _uniform(bound, layers, tokens, rank)
            self.learnable_tokens_b = _uniform(bound, layers, rank, channels)
        self.mlp_token2feat = nn.Linear(channels, channels)
        self.mlp_delta_f = nn.Linear(channels, channels)
        self.transform = nn.Linear(channels, query_channels)
        self.merge = nn.Linear(3 * query_channels, query_channels)
        if start_at_zero:
            nn.init.zeros_(self.mlp_delta_f.weight)
            nn.init.zeros_(self.mlp_delta_f.bias)

    def forward(self, sequence: Tensor, layer: int, passed: int = 1) -> Tensor:
        """The sequence after a block, changed; its first ``passed`` entries, like the class token, are not.

        Shape: ``(B, passed + N, channels)`` to the same.
        """
        features = sequence[:, passed:]
        changed = features + self.scale * self.change(features, self.tokens(layer))
        return torch.cat([sequence[:, :passed], changed], dim=1)

    def tokens(self, layer: int | slice = slice(None)) -> Tensor:
        """Tokens of one block, or of all. Shape: ``(tokens, channels)``, or ``(layers, tokens, channels)``."""
        if hasattr(self, "learnable_tokens"):
            return self.learnable_tokens[layer]
        return self.learnable_tokens_a[layer] @ self.learnable_tokens_b[layer]

    def similarity(self, features: Tensor, tokens: Tensor) -> Tensor:
        """How much every feature asks of every token.

        Shape: features ``(B, N, channels)`` and tokens ``(tokens, channels)`` to ``(B, N, tokens)``.
        """
        products = features @ tokens.T
        return (products * features.shape[-1] ** -0.5).softmax(dim=-1) if self.softmax else products

    def change(self, features: Tensor, tokens: Tensor) -> Tensor:
        """What is added to features, before its share is taken.

        Shape: features ``(B, N, channels)`` and tokens ``(tokens, channels)`` to ``(B, N, channels)``.
        """
        asked = self.similarity(features, tokens)[..., 1:]
        answered: Tensor = self.mlp_delta_f(asked @ self.mlp_token2feat(tokens[1:]) + features)
        return answered

    def queries(self) -> Tensor:
        """Queries for a mask decoder, one per token; the image plays no part. Shape: ``(tokens, query_channels)``.

        Of the tokens in all blocks, made narrow, highest value, mean and the last block's are merged; for the merging
        layer, the three stand side by side for every channel.
        """
        narrow = self.transform(self.tokens())
        statistics = torch.stack([narrow.amax(0), narrow.mean(0), narrow[-1]], dim=-1)
        merged: Tensor = self.merge(statistics.flatten(-2))
        return merged


def start_bound(patch: int, channels: int, rank: int | None) -> float:
    """Bound of the uniform start values of tokens, or of both their factors. Units: ``patch`` in pixels."""
    width = channels if rank is None else math.sqrt(channels * rank)
    return math.sqrt(6.0 / (3 * patch**2 + width))


def _uniform(bound: float, *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
