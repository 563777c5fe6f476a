"""SoMA: the minor singular components of an encoder's linear layers are trained, and the rest is frozen.

Source: Yun et al., SoMA, arXiv 2412.04077. Parameters carry the published names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.errors import UsageError
from adaptbench.networks.adapters.split_qkv import linear_of, split_qkv

#: Blocks from which on a rising rank doubles.
_RISES = (12, 16, 20)


@dataclass(frozen=True)
class SoMAOptions:
    """What is wrapped, and how much of it is trained.

    Attributes:
        rank: number of components that are trained, per layer.
        alpha: `rank` times the factor on what is trained.
        first_block: index of the first block with wrapped layers; None = the first third of all blocks have none, as
            published: 8 of 24.
        targets: ends of the names of layers that are wrapped.
        major: take the largest components instead of the smallest.
        rising: whether the rank doubles in blocks 12, 16 and 20, while `alpha` stays.

    Source: SoMA, arXiv 2412.04077; docs/quirks.md#r14 and #r18.
    """

    rank: int = 16
    alpha: float = 16
    first_block: int | None = None
    targets: tuple[str, ...] = ("q", "k", "v", "proj", "fc1", "fc2")
    major: bool = False
    rising: bool = False

    def rank_in(self, block: int) -> int:
        """Number of components that are trained in the layers of a block."""
        return self.rank * 2 ** sum(block >= rise for rise in _RISES) if self.rising else self.rank


class Split(NamedTuple):
    """A matrix as ``residual + scaling * up @ down``. Shape: (out, in), (out, rank), (rank, in)."""

    residual: Tensor
    up: Tensor
    down: Tensor


def split(weight: Tensor, rank: int, scaling: float, major: bool = False) -> Split:
    """Takes the components of the smallest singular values out of a matrix, or those of the largest.

    They keep the order of the singular values, the largest first. The decomposition is computed in float32 at least.

    Shape: ``(out, in)`` float; ``rank`` is at most the smaller of both.

    Source: SoMA, arXiv 2412.04077; docs/quirks.md#r12 and #r13.
    """
    exact = weight.detach().to(torch.promote_types(weight.dtype, torch.float32))
    left, values, right = _decomposed(exact)
    chosen = slice(None, rank) if major else slice(len(values) - rank, None)
    roots = (values[chosen] / scaling).sqrt()
    up, down = left[:, chosen] * roots, roots[:, None] * right[chosen]
    parts = Split(residual_of(exact, up, down, scaling), up, down)
    return Split(*(part.to(weight.dtype) for part in parts))


def residual_of(weight: Tensor, up: Tensor, down: Tensor, scaling: float) -> Tensor:
    """What is left of a matrix without a scaled product.

    Components are taken away one after the other, by steps that give the same bits on every machine, unlike the
    decomposition. Shape: as `Split`.
    """
    left = weight.detach().clone()
    for column, row in zip((scaling * up).unbind(1), down.unbind(0), strict=True):
        left -= column[:, None] * row
    return left


def _decomposed(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Singular vectors and values, the largest first; of a wide matrix by its transpose, in a quarter of the time."""
    if matrix.shape[0] >= matrix.shape[1]:
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        return left, values, right
    left, values, right = torch.linalg.svd(matrix.T, full_matrices=False)
    return right.T, values, left.T


class SoMALinear(nn.Module):
    """A linear layer whose matrix is a frozen residual and a trained product of low rank; its bias is trained, too.

    Attributes:
        start: the factors before any training, ``lora_A`` and ``lora_B``: with them and the pretrained matrix, the
            residual can be made anew.

    Source: SoMA, arXiv 2412.04077; docs/quirks.md#r15.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float, major: bool = False) -> None:
        super().__init__()
        self.rank = rank
        self.scaling = alpha / rank
        parts = split(linear.weight, rank, self.scaling, major)
        self.weight = nn.Parameter(parts.residual, requires_grad=False)
        self.bias = linear.bias if linear.bias is None else nn.Parameter(linear.bias.detach().clone())
        self.start = parts.down.clone(), parts.up.clone()
        self.lora_A = _without_bias(parts.down)
        self.lora_B = _without_bias(parts.up)

    def forward(self, features: Tensor) -> Tensor:
        """Shape: ``(..., in)`` to ``(..., out)``."""
        trained: Tensor = self.lora_B(self.lora_A(features))
        return functional.linear(features, self.weight, self.bias) + trained * self.scaling

    @torch.no_grad()
    def restart(self, pretrained: Tensor, down: Tensor, up: Tensor) -> None:
        """Makes the residual anew, from the pretrained matrix and the factors before any training."""
        self.start = down, up
        self.weight.copy_(residual_of(pretrained, up, down, self.scaling))

    def product(self) -> Tensor:
        """What is trained, as a matrix. Shape: ``(out, in)``."""
        product: Tensor = self.scaling * self.lora_B.weight @ self.lora_A.weight
        return product


def wrap(encoder: nn.Module, options: SoMAOptions) -> list[str]:
    """Freezes an encoder but for the minor components and biases of its wrapped layers, whose names are returned.

    Raises:
        UsageError: a layer has fewer components than shall be trained, or no layer is wrapped.
    """
    linears = _linears_of_blocks(encoder)
    depth = max((block + 1 for block, _, _ in linears), default=0)
    first = depth // 3 if options.first_block is None else options.first_block
    chosen = [one for one in linears if one[0] >= first and one[1].endswith(options.targets)]
    if not chosen:
        raise UsageError(
            f"SoMA wraps layers called {', '.join(options.targets)} in blocks from number {first} on, and the encoder "
            f"has {depth} blocks and no such layer. Choose a larger encoder or a lower first block."
        )
    wrapped = [
        (name, _wrapped(linear, name, options, options.rank_in(block))) for block, name, linear in chosen
    ]
    encoder.requires_grad_(False)
    _replace(encoder, wrapped)
    return [name for name, _ in wrapped]


def start_factors(encoder: nn.Module) -> dict[str, Tensor]:
    """What the residuals of an encoder are made anew with (`restart`): ``LAYER.start_A`` and ``LAYER.start_B``."""
    factors = {}
    for name, layer in _adapted(encoder).items():
        factors[f"{name}.start_A"], factors[f"{name}.start_B"] = layer.start
    return factors


def restart(encoder: nn.Module, factors: Mapping[str, Tensor], pretrained: nn.Module) -> None:
    """Makes all residuals anew; ``pretrained`` is the encoder with its start weights, which is changed."""
    split_qkv(pretrained)
    for name, layer in _adapted(encoder).items():
        matrix = pretrained.get_submodule(name).get_parameter("weight")
        layer.restart(matrix, factors[f"{name}.start_A"], factors[f"{name}.start_B"])


def _adapted(encoder: nn.Module) -> dict[str, SoMALinear]:
    return {name: part for name, part in encoder.named_modules() if isinstance(part, SoMALinear)}


def _wrapped(linear: nn.Linear, name: str, options: SoMAOptions, rank: int) -> SoMALinear:
    most = min(linear.weight.shape)
    if not 0 < rank <= most:
        raise UsageError(
            f"SoMA cannot train {rank} components of {name}: its matrix of {tuple(linear.weight.shape)} has {most}. "
            f"Choose a rank from 1 to {most}."
        )
    return SoMALinear(linear, rank, options.alpha, options.major)


def _linears_of_blocks(encoder: nn.Module) -> list[tuple[int, str, nn.Linear]]:
    """Linear layers of numbered blocks, with the numbers."""
    found = ((re.search(r"blocks\.(\d+)\.", name), name, linear) for name, linear in _linears(encoder))
    return [(int(block[1]), name, linear) for block, name, linear in found if block]


def _linears(encoder: nn.Module) -> list[tuple[str, nn.Linear]]:
    return [(name, part) for name, part in encoder.named_modules() if isinstance(part, nn.Linear)]


def _replace(encoder: nn.Module, modules: Sequence[tuple[str, nn.Module]]) -> None:
    for name, module in modules:
        encoder.set_submodule(name, module)


def _without_bias(weight: Tensor) -> nn.Linear:
    return linear_of(weight, None)
