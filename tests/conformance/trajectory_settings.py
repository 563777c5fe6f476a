"""Which method recomputes a recorded training, and with which settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adaptbench.contracts.method import Method
from adaptbench.contracts.settings import Settings
from adaptbench.data.taxonomy import CITYSCAPES19

from .case import Case

#: Module and class by what follows ``train_trajectory_``; the longest match counts.
PLUGINS: Mapping[str, tuple[str, str]] = {
    "dacs": ("methods.dacs", "DACS"),
    "daformer": ("methods.daformer", "DAFormer"),
    "hrda": ("methods.hrda", "HRDA"),
    "dg": ("methods.daformer_dg", "DAFormerDG"),
    "dg_shade_hrda": ("methods.hrda_dg", "HRDADG"),
    "mic": ("methods.mic", "MIC"),
    "mic_aug": ("methods.mic_daformer", "MICDAFormer"),
}


def settings_of(case: Case, method: type[Method]) -> Settings:
    """The settings of a recorded training; those the method does not have must be off in it.

    Raises:
        AssertionError: the case asks for something that the method cannot do.
    """
    values = {
        **_optimisation(case),
        **_self_training(case),
        **_scales(case),
        **_masking(case),
        **_styles(case),
    }
    fields = method.Settings.model_fields
    off = {name: value for name, value in values.items() if name not in fields}
    if not method.uses_target_images:  # the reference's settings of pseudo-labels and mixing do nothing then
        assert case.hyper("uda")["source_only"]
        off = {}
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


def _scales(case: Case) -> dict[str, Any]:
    """Settings of HRDA; its network, crop and windows are those of the stand-in."""
    model = case.hyper("model")
    if model["type"] != "HRDAEncoderDecoder":
        return {}
    head = model["decode_head"]
    return {
        "detail_loss_weight": head["hr_loss_weight"],
        "context_loss_weight": head["lr_loss_weight"],
        "feature_distance_scales": {0.5: "context", "all": "all"}[model["feature_scale"]],
        "crop_divisor": model["crop_coord_divisible"],
    }


def _masking(case: Case) -> dict[str, Any]:
    uda = case.hyper("uda")
    if "mask_mode" not in uda:
        return {}
    generator = uda["mask_generator"]
    assert (uda["mask_alpha"], uda["mask_pseudo_threshold"], generator["type"]) == ("same", "same", "block")
    return {
        "mask_ratio": generator["mask_ratio"],
        "mask_block": generator["mask_block_size"],
        "mask_weight": float(uda["mask_lambda"]),
        "mask_augment": {"separatetrg": False, "separatetrgaug": True}[uda["mask_mode"]],
    }


def _styles(case: Case) -> dict[str, Any]:
    uda = case.hyper("uda")
    weight = uda.get("style_consistency_lambda", 0)
    assert uda.get("share_src_backward", False) == bool(weight)
    return {"style_hallucination": bool(weight), "style_consistency_weight": float(weight)}
