"""Typical mistakes in adapters and their trainings, planted one at a time: each must make a recorded case fail."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from mmengine.optim import CosineAnnealingParamScheduler, OptimWrapper
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.adaptation import late_average
from adaptbench.networks.adapters import rein, soma, split_qkv
from adaptbench.networks.adapters.frozen import Frozen
from adaptbench.networks.adapters.rein import Rein
from adaptbench.networks.adapters.soma import SoMALinear, SoMAOptions, Split
from adaptbench.networks.adapters.split_qkv import SplitQKV, linear_of
from adaptbench.networks.pretrained import patch_size
from adaptbench.optim import optimizer
from adaptbench.optim.recipe import Recipe

from .planted import Mutation, assert_noticed

PUBLISHED_FORWARD = Rein.forward
PUBLISHED_LINEAR = SoMALinear.__init__
PUBLISHED_RATES = optimizer._rates
PUBLISHED_SPLIT = soma.split


def first_token_answers(self: Rein, features: Tensor, tokens: Tensor) -> Tensor:
    answered: Tensor = self.mlp_delta_f(
        self.similarity(features, tokens) @ self.mlp_token2feat(tokens) + features
    )
    return answered


def first_token_left_out_before_the_softmax(self: Rein, features: Tensor, tokens: Tensor) -> Tensor:
    asked = self.similarity(features, tokens[1:])
    answered: Tensor = self.mlp_delta_f(asked @ self.mlp_token2feat(tokens[1:]) + features)
    return answered


def feature_not_added(self: Rein, features: Tensor, tokens: Tensor) -> Tensor:
    answered: Tensor = self.mlp_delta_f(
        self.similarity(features, tokens)[..., 1:] @ self.mlp_token2feat(tokens[1:])
    )
    return answered


def similarity_not_scaled(self: Rein, features: Tensor, tokens: Tensor) -> Tensor:
    return (features @ tokens.T).softmax(dim=-1)


def class_token_changes(self: Rein, sequence: Tensor, layer: int, passed: int = 1) -> Tensor:
    return PUBLISHED_FORWARD(self, sequence, layer, 0)


def tokens_of_the_first_block(self: Rein, sequence: Tensor, layer: int, passed: int = 1) -> Tensor:
    return PUBLISHED_FORWARD(self, sequence, 0, passed)


def statistics_in_blocks(self: Rein) -> Tensor:
    narrow = self.transform(self.tokens())
    merged: Tensor = self.merge(torch.cat([narrow.amax(0), narrow.mean(0), narrow[-1]], dim=-1))
    return merged


def first_block_for_the_last(self: Rein) -> Tensor:
    narrow = self.transform(self.tokens())
    statistics = torch.stack([narrow.amax(0), narrow.mean(0), narrow[0]], dim=-1)
    merged: Tensor = self.merge(statistics.flatten(-2))
    return merged


def bound_of_the_product(patch: int, channels: int, rank: int | None) -> float:
    return math.sqrt(6.0 / (3 * patch**2 + channels * (rank or 1)))


def largest_components(weight: Tensor, rank: int, scaling: float, major: bool = False) -> Split:
    return PUBLISHED_SPLIT(weight, rank, scaling, not major)


def smallest_first(weight: Tensor, rank: int, scaling: float, major: bool = False) -> Split:
    residual, up, down = PUBLISHED_SPLIT(weight, rank, scaling, major)
    return Split(residual, up.flip(1), down.flip(0))


def roots_not_scaled(weight: Tensor, rank: int, scaling: float, major: bool = False) -> Split:
    residual, up, down = PUBLISHED_SPLIT(weight, rank, scaling, major)
    return Split(residual, up * math.sqrt(scaling), down * math.sqrt(scaling))


def nothing_taken_out(weight: Tensor, rank: int, scaling: float, major: bool = False) -> Split:
    return PUBLISHED_SPLIT(weight, rank, scaling, major)._replace(residual=weight.detach())


def all_in_one_factor(weight: Tensor, rank: int, scaling: float, major: bool = False) -> Split:
    residual, up, down = PUBLISHED_SPLIT(weight, rank, scaling, major)
    return Split(residual, up * down.norm(dim=1), down / down.norm(dim=1)[:, None])


def biases_frozen(self: SoMALinear, linear: nn.Linear, *options: Any) -> None:
    PUBLISHED_LINEAR(self, linear, *options)
    self.bias.requires_grad_(False)  # type: ignore[union-attr]


def matrix_trained(self: SoMALinear, linear: nn.Linear, *options: Any) -> None:
    PUBLISHED_LINEAR(self, linear, *options)
    self.weight.requires_grad_(True)


def keys_first(self: SplitQKV, fused: nn.Linear, letters: str = "qkv") -> None:
    nn.Module.__init__(self)
    weights, biases = fused.weight.detach().chunk(3), fused.bias.detach().chunk(3)
    self.k, self.q, self.v = (linear_of(w, b) for w, b in zip(weights, biases, strict=True))


def rank_rises_everywhere(self: SoMAOptions, block: int) -> int:
    return self.rank * 2 ** (block // 8) if self.rising else self.rank


def tokens_decay(name: str, norms: optimizer._Norms, settings: Recipe) -> tuple[float, float]:
    rate, decay = PUBLISHED_RATES(name, norms, settings)
    return rate, settings.weight_decay if "reins" in name else decay


def biases_do_not_decay(name: str, norms: optimizer._Norms, settings: Recipe) -> tuple[float, float]:
    rate, decay = PUBLISHED_RATES(name, norms, settings)
    return rate, 0.0 if name.endswith("bias") else decay


def head_norms_decay(name: str, norms: optimizer._Norms, settings: Recipe) -> tuple[float, float]:
    return PUBLISHED_RATES(name, norms, settings.model_copy(update={"head_norm_weight_decay": True}))


def zero_one_iteration_later(wrapper: OptimWrapper, settings: Recipe, iterations: int) -> list[Any]:
    return [optimizer.poly_schedule(wrapper, settings.poly_power, iterations)]


def decay_stays(wrapper: OptimWrapper, settings: Recipe, iterations: int) -> list[Any]:
    return []


def each_decay_to_its_own_end(wrapper: OptimWrapper, settings: Recipe, iterations: int) -> list[Any]:
    share = (settings.weight_decay_end or 0.0) / settings.weight_decay
    return [
        CosineAnnealingParamScheduler(
            wrapper, "weight_decay", eta_min_ratio=share, end=iterations, by_epoch=False
        )
    ]


def antialiased(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps, size, mode="bicubic", align_corners=False, antialias=True)


def corners_aligned(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps, size, mode="bicubic", align_corners=True)


MUTATIONS = [
    Mutation("first token answers", "rein_delta", Rein, "change", first_token_answers),
    Mutation(
        "softmax without the first token",
        "rein_delta",
        Rein,
        "change",
        first_token_left_out_before_the_softmax,
    ),
    Mutation("feature not added", "rein_delta", Rein, "change", feature_not_added),
    Mutation("similarity not scaled", "rein_delta", Rein, "similarity", similarity_not_scaled),
    Mutation("class token changes", "rein_delta", Rein, "forward", class_token_changes),
    Mutation("tokens of one block", "rein_lora_tokens", Rein, "forward", tokens_of_the_first_block),
    Mutation("statistics in blocks", "rein_lora_tokens", Rein, "queries", statistics_in_blocks),
    Mutation("first block for the last", "rein_lora_tokens", Rein, "queries", first_block_for_the_last),
    Mutation("bound of the product", "rein_lora_tokens", rein, "start_bound", bound_of_the_product),
    Mutation("class token changes in training", "rein_trajectory", Rein, "forward", class_token_changes),
    Mutation("trunk in training mode", "rein_trajectory", Frozen, "train", nn.Module.train),
    Mutation("tokens decay", "rein_trajectory", optimizer, "_rates", tokens_decay),
    Mutation("biases do not decay", "rein_trajectory", optimizer, "_rates", biases_do_not_decay),
    Mutation("zero one later", "rein_trajectory", optimizer, "_in_a_row", zero_one_iteration_later),
    Mutation("largest components", "soma_init", soma, "split", largest_components),
    Mutation("smallest first", "soma_init", soma, "split", smallest_first),
    Mutation("roots not scaled", "soma_init", soma, "split", roots_not_scaled),
    Mutation("nothing taken out", "soma_init", soma, "split", nothing_taken_out),
    Mutation("all in one factor", "soma_init", soma, "split", all_in_one_factor),
    Mutation("qkv stays fused", "soma_init", split_qkv, "split_qkv", lambda encoder: None),
    Mutation("biases frozen", "soma_init", SoMALinear, "__init__", biases_frozen),
    Mutation("matrix trained", "soma_init", SoMALinear, "__init__", matrix_trained),
    Mutation("rank rises everywhere", "soma_init", SoMAOptions, "rank_in", rank_rises_everywhere),
    Mutation("head norms decay", "soma_trajectory", optimizer, "_rates", head_norms_decay),
    Mutation("biases do not decay", "soma_trajectory", optimizer, "_rates", biases_do_not_decay),
    Mutation("decay stays", "soma_trajectory", optimizer, "_annealed_decay", decay_stays),
    Mutation("ends of their own", "soma_trajectory", optimizer, "_annealed_decay", each_decay_to_its_own_end),
    Mutation(
        "average at once", "soma_trajectory", late_average, "kept_share", lambda t, b, d: d if t else 0.0
    ),
    Mutation(
        "average one early",
        "soma_trajectory",
        late_average,
        "kept_share",
        lambda t, b, d: d if t + 1 >= b else 0.0,
    ),
    Mutation(
        "shares swapped",
        "soma_trajectory",
        late_average,
        "kept_share",
        lambda t, b, d: 1 - d if t >= b else 0.0,
    ),
    Mutation("antialiased", "convert_pretrained", patch_size, "_bicubic", antialiased),
    Mutation("corners aligned", "convert_pretrained", patch_size, "_bicubic", corners_aligned),
    Mutation("keys first", "convert_pretrained", SplitQKV, "__init__", keys_first),
    Mutation("matrix saved", "state_dict", SoMALinear, "__init__", matrix_trained),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_mistake_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_noticed(mutation, monkeypatch)
