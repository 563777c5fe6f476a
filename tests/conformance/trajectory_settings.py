"""Which method recomputes a recorded training, and with which settings."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from adaptbench.contracts.method import Method
from adaptbench.contracts.settings import Settings
from adaptbench.data.taxonomy import ClassSet

from .case import Case
from .case_facts import class_set_of


def method_of(case: Case) -> type[Method]:
    """The method that has all that the case's hyper-parameters ask for, and no more."""
    uda = case.hyper("uda")
    if is_generalisation(case):
        module, name = ("hrda_dg", "HRDADG") if _has_two_scales(case) else ("daformer_dg", "DAFormerDG")
    elif "mask_mode" in uda:
        module, name = ("mic", "MIC") if _has_two_scales(case) else ("mic_daformer", "MICDAFormer")
    elif _has_two_scales(case):
        module, name = "hrda", "HRDA"
    else:
        module, name = ("daformer", "DAFormer") if uda["imnet_feature_dist_lambda"] else ("dacs", "DACS")
    found: type[Method] = getattr(importlib.import_module(f"methods.{module}"), name)
    return found


def is_generalisation(case: Case) -> bool:
    """Whether nothing of the target is seen."""
    return bool(case.hyper("uda").get("source_only", False))


def classes_of(case: Case) -> ClassSet:
    """The classes, of which the case may state which are things."""
    number = case.hyper("model")["decode_head"]["num_classes"]
    return class_set_of(number, things=case.hyper("uda")["imnet_feature_dist_classes"])


def _has_two_scales(case: Case) -> bool:
    return bool(case.hyper("model")["type"] == "HRDAEncoderDecoder")


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
        assert is_generalisation(case)
        off = {}
    assert not any(off.values()), f"{case.name}: {method.name} has no {', '.join(n for n in off if off[n])}"
    return method.Settings.model_validate({name: value for name, value in values.items() if name in fields})


def _optimisation(case: Case) -> dict[str, Any]:
    optimizer, schedule = case.hyper("optimizer"), case.hyper("schedule")
    assert (schedule["policy"], schedule["warmup"]) in (("poly", "linear"), ("poly", None))
    warm = schedule["warmup"] is not None
    return {
        **optimizer_settings(optimizer),
        "adam_epsilon": case.hyper("adamw_eps"),
        "iterations": schedule["max_iters"],
        "warmup": schedule["warmup_iters"] if warm else 0,
        "warmup_start": schedule["warmup_ratio"] if warm else 1.0,
        "poly_power": schedule["power"],
        "learning_rate_min": schedule["min_lr"],
    }


def optimizer_settings(optimizer: Mapping[str, Any]) -> dict[str, Any]:
    """Our settings of an optimiser of the reference, but for epsilon."""
    keys = optimizer["paramwise_cfg"]["custom_keys"]
    norm = keys.get("norm", {}).get("decay_mult", 1.0)
    assert norm in (0.0, 1.0), f"norms decay as all else or not at all, not {norm} times"
    settings = {
        "optimizer": optimizer["type"].lower(),
        "learning_rate": optimizer["lr"],
        "head_lr_factor": keys.get("head", {}).get("lr_mult", 1.0),
        "weight_decay": optimizer["weight_decay"],
        "norm_weight_decay": norm == 1.0,
    }
    if settings["optimizer"] == "sgd":
        return {**settings, "momentum": optimizer["momentum"]}
    return {**settings, "adam_betas": optimizer["betas"]}


def _self_training(case: Case) -> dict[str, Any]:
    uda = case.hyper("uda")
    every = uda["imnet_feature_dist_lambda"] and uda["imnet_feature_dist_classes"] is None
    compared = {"feature_distance": "all"} if every else {}
    return {
        **compared,
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
    if not _has_two_scales(case):
        return {}
    head = model["decode_head"]
    scales = "all" if model["feature_scale"] == "all" else "context"
    if scales == "context":
        assert model["feature_scale"] == min(model["scales"]), "features are those of the context"
    return {
        "detail_loss_weight": head["hr_loss_weight"],
        "context_loss_weight": head["lr_loss_weight"],
        "feature_distance_scales": scales,
        "crop_divisor": model["crop_coord_divisible"],
    }


def _masking(case: Case) -> dict[str, Any]:
    uda = case.hyper("uda")
    if "mask_mode" not in uda:
        return {}
    generator = uda["mask_generator"]
    assert generator["type"] == "block", generator["type"]
    return {
        **_mask_teacher(uda["mask_alpha"], uda["mask_pseudo_threshold"]),
        "mask_ratio": generator["mask_ratio"],
        "mask_block": generator["mask_block_size"],
        "mask_weight": float(uda["mask_lambda"]),
        "mask_augment": {"separatetrg": False, "separatetrgaug": True}[uda["mask_mode"]],
    }


def _mask_teacher(alpha: float | str, threshold: float | str) -> dict[str, Any]:
    """Who labels masked images: the teacher of the method, unless a number is not the same as its."""
    stated = {"mask_ema_alpha": alpha, "mask_threshold": threshold}
    own = {name: value for name, value in stated.items() if value != "same"}
    return {"mask_teacher": "own", **own} if own else {}


def _styles(case: Case) -> dict[str, Any]:
    uda = case.hyper("uda")
    weight = uda.get("style_consistency_lambda", 0)
    assert uda.get("share_src_backward", False) == bool(weight)
    stated = case.hyper("model")["backbone"].get("style_hallucination_cfg", {})
    return {
        "style_hallucination": bool(weight),
        "style_consistency_weight": float(weight),
        "base_styles": stated.get("base_style_num", 0),
    }
