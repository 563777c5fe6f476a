"""Which method with which settings recomputes a training follows from its hyper-parameters, not from its name."""

from __future__ import annotations

from typing import Any

import pytest

from .case import Case
from .recorded_draws import RecordedDraws
from .test_golden import COPIED
from .trajectory_settings import classes_of, method_of, settings_of

DACS_AUG, MIC = "train_trajectory_dacs_aug", "train_trajectory_mic"


def changed(name: str, uda: dict[str, Any] | None = None, **hyper_parameters: Any) -> Case:
    """A copied training under another name, with other hyper-parameters."""
    case = Case("train_trajectory_of_any_name", "train_trajectory", COPIED / f"{name}.json")
    recorded = case.json["hyper_parameters"]
    recorded |= hyper_parameters
    recorded["uda"] |= uda or {}
    return case


@pytest.mark.parametrize(
    ("name", "uda", "expected"),
    [
        (DACS_AUG, {}, "dacs"),
        (DACS_AUG, {"imnet_feature_dist_lambda": 0.1, "imnet_feature_dist_scale_min_ratio": 0.5}, "daformer"),
        (DACS_AUG, {"source_only": True}, "daformer_dg"),
        ("train_trajectory_mic_aug", {}, "mic_daformer"),
        (MIC, {}, "mic"),
        ("train_trajectory_dg_shade_hrda", {}, "hrda_dg"),
    ],
)
def test_the_method_has_what_the_case_asks_for(name: str, uda: dict[str, Any], expected: str) -> None:
    assert method_of(changed(name, uda)).name == expected


def test_without_masks_it_is_hrda() -> None:
    case = changed(MIC)
    del case.json["hyper_parameters"]["uda"]["mask_mode"]
    assert method_of(case).name == "hrda"


@pytest.mark.parametrize("name", [DACS_AUG, MIC])
def test_optimiser_and_schedule_are_those_of_the_case(name: str) -> None:
    case = changed(name, adamw_eps=1e-6)
    hyper = case.json["hyper_parameters"]
    hyper["optimizer"] |= {"betas": [0.8, 0.95], "lr": 0.3}
    hyper["optimizer"]["paramwise_cfg"]["custom_keys"] = {"head": {"lr_mult": 4.0}}
    hyper["schedule"] |= {"min_lr": 0.01, "power": 0.7, "warmup": None}
    settings = settings_of(case, method_of(case))
    assert (settings.adam_betas, settings.adam_epsilon, settings.learning_rate) == ((0.8, 0.95), 1e-6, 0.3)
    assert (settings.head_lr_factor, settings.norm_weight_decay, settings.warmup) == (4.0, True, 0)
    assert (settings.learning_rate_min, settings.poly_power) == (0.01, 0.7)


@pytest.mark.parametrize("things", [[0, 3], list(range(19))])
def test_things_are_those_of_the_case(things: list[int]) -> None:
    case = changed(MIC, {"imnet_feature_dist_classes": things})
    assert list(classes_of(case).things) == things


def test_a_distance_without_classes_is_that_of_all_positions() -> None:
    case = changed(MIC, {"imnet_feature_dist_classes": None})
    assert settings_of(case, method_of(case)).model_dump()["feature_distance"] == "all"


def test_other_class_counts_have_a_class_set() -> None:
    case = changed(MIC, {"imnet_feature_dist_classes": [1]})
    case.json["hyper_parameters"]["model"]["decode_head"]["num_classes"] = 25
    assert (len(classes_of(case)), classes_of(case).things) == (25, (1,))


@pytest.mark.parametrize("divisor", [1, 2, 4, 16])
def test_crops_are_drawn_in_the_steps_of_the_case(divisor: int) -> None:
    case = changed(MIC)
    case.json["hyper_parameters"]["model"]["crop_coord_divisible"] = divisor
    box = [3 * divisor, 3 * divisor + 32, 2 * divisor, 2 * divisor + 64]
    case.json["random_decisions"] = [[{"kind": "hr_crop_box", "during": "source", "value": box}]]
    generator = RecordedDraws(case, 0).numpy("detail crop source")
    assert [int(generator.integers(0, 9)) * divisor for _ in range(2)] == [box[0], box[2]]
