"""Optimiser and schedule of one network: what a paper states, or a network's own where no paper does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, Field

from adaptbench.data.units import Iterations, later

#: What of an encoder is trained: all of it, nothing, or a small adapter.
AdapterKind: TypeAlias = Literal["full", "frozen", "lora", "rein", "soma"]
#: Layers of a transformer's blocks: queries, keys, values and output of attentions, and both layers behind them.
BlockLayer: TypeAlias = Literal["q", "k", "v", "proj", "fc1", "fc2"]


class Recipe(BaseModel):
    """Optimiser and schedule; the defaults are those of the self-training papers (HRDA, arXiv 2204.13132, 4.1)."""

    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="optimiser of the student")
    learning_rate: float = Field(6e-5, gt=0, description="of the encoder, at its highest")
    head_lr_factor: float = Field(10.0, gt=0, description="factor on the learning rate of the decoder")
    weight_decay: float = Field(0.01, ge=0, description="share of a weight's learning rate it loses per step")
    norm_weight_decay: bool = Field(False, description="whether encoder normalisation layers decay, too")
    position_weight_decay: bool = later(False, description="whether learned positions decay, too")
    layer_decay: float = later(
        1.0,
        gt=0,
        le=1,
        description="factor on the rate of the encoder's blocks, once more for every deeper one",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    warmup: Iterations = Field(1500, ge=0, description="iterations of linear warm-up, on top of the decay")
    warmup_start: float = Field(1e-6, gt=0, le=1, description="share of the learning rate at iteration 0")
    warmup_decays: bool = later(
        True, description="whether the rate decays during the warm-up, too; if not, it falls behind it"
    )
    poly_power: float = Field(1.0, gt=0, description="power of the polynomial decay to zero")
    learning_rate_min: float = later(
        0.0, ge=0, description="rate, of encoder and decoder alike, at which the decay ends in place of zero"
    )
    adam_betas: tuple[float, float] = later(
        (0.9, 0.999), description="shares of adamw's running averages of gradients and of their squares"
    )
    adam_epsilon: float = later(1e-8, gt=0, description="added to the denominator of adamw's steps")
    head_norm_weight_decay: bool = later(
        True, description="whether normalisation layers of the decoder decay"
    )
    poly_after_warmup: bool = later(
        False, description="the decay starts after the warm-up, and the last iteration has the lowest rate"
    )
    weight_decay_end: float | None = later(
        None,
        ge=0,
        description="weight decay of everything at the end of a cosine over all iterations; None = constant",
    )


def recipe(**changes: Any) -> Mapping[str, Any]:
    """The default `Recipe` with changes; complete, whatever a method's defaults."""
    return {**{name: field.default for name, field in Recipe.model_fields.items()}, **changes}
