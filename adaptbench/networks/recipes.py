"""Optimiser and schedule that a network is trained with where no paper states any for the method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adaptbench.contracts.settings import Settings

_FIELDS = (
    "optimizer",
    "learning_rate",
    "head_lr_factor",
    "weight_decay",
    "norm_weight_decay",
    "momentum",
    "warmup",
    "warmup_start",
    "poly_power",
)


def recipe(**changes: Any) -> Mapping[str, Any]:
    """The optimiser and schedule of the self-training papers, with changes; complete, whatever a method's defaults."""
    return {**{name: Settings.model_fields[name].default for name in _FIELDS}, **changes}
