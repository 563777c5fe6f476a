"""Which method recomputes a recorded training, and with which settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.method import Method
from adaptbench.settings import Settings

from .case import Case

#: Module and class by what follows ``train_trajectory_``; the longest match counts.
PLUGINS: Mapping[str, tuple[str, str]] = {
    "dacs": ("methods.dacs", "DACS"),
    "daformer": ("methods.daformer", "DAFormer"),
}


def settings_of(case: Case, method: type[Method]) -> Settings:
    """The settings of a recorded training; those the method does not have must be off in it.

    Raises:
        AssertionError: the case asks for something that the method cannot do.
    """
    values = {**_optimisation(case), **_self_training(case)}
    fields = method.Settings.model_fields
    off = {name: value for name, value in values.items() if name not in fields}
    assert not any(off.values()), f"{case.name}: {method.name} has no {', '.join(n for n in off if off[n])}"
    return method.Settings.model_validate({name: value for name, value in values.items() if name in fields})


def _optimisation(case: Case) -> dict[str, Any]:
    optimizer, schedule = case.hyper("optimizer"), case.hyper("schedule")
    keys = optimizer["paramwise_cfg"]["custom_keys"]
    assert (optimizer["type"], optimizer["betas"], case.hyper("adamw_eps")) == ("AdamW", [0.9, 0.999], 1e-8)
    assert (schedule["policy"], schedule["min_lr"], schedule["warmup"]) == ("poly", 0.0, "linear")
    assert keys["norm"] == {"decay_mult": 0.0}
    return {
        "learning_rate": optimizer["lr"],
        "head_lr_factor": keys["head"]["lr_mult"],
        "weight_decay": optimizer["weight_decay"],
        "iterations": schedule["max_iters"],
        "warmup": schedule["warmup_iters"],
        "warmup_start": schedule["warmup_ratio"],
        "poly_power": schedule["power"],
    }


def _self_training(case: Case) -> dict[str, Any]:
    uda = case.hyper("uda")
    classes = uda["imnet_feature_dist_classes"]
    assert classes is None or classes == list(CITYSCAPES19.things)
    return {
        "ema_alpha": uda["alpha"],
        "pseudo_threshold": uda["pseudo_threshold"],
        "pseudo_ignore_top": uda["pseudo_weight_ignore_top"],
        "pseudo_ignore_bottom": uda["pseudo_weight_ignore_bottom"],
        "jitter_threshold": uda["color_jitter_probability"],
        "jitter_strength": uda["color_jitter_strength"],
        "blur": uda["blur"],
        "feature_distance_weight": uda["imnet_feature_dist_lambda"],
        "feature_distance_min_ratio": uda["imnet_feature_dist_scale_min_ratio"] or 0.0,
    }
