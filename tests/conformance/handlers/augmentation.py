"""Colour jitter and blur with recorded draws."""

from __future__ import annotations

from typing import Any

from adaptbench.adaptation import color_jitter, gaussian_blur

from ..case import Case
from ..registry import handler


@handler("gaussian_blur")
def check_blur(case: Case) -> None:
    for side, expected in case.facts.get("kernel_side_for_image_side", {}).items():
        case.expect(f"facts/kernel_side/{side}", gaussian_blur.kernel_side(int(side)), expected)
    for index in case.numbered("in/img"):
        image, sigma = case.tensor(f"in/img{index}"), case.tensor(f"in/sigma{index}").item()
        case.compare(f"out/blurred{index}", gaussian_blur.gaussian_blur(image, sigma))


@handler("color_jitter")
def check_jitter(case: Case) -> None:
    mean, std = case.hyper("mean"), case.hyper("std")
    for index in case.numbered("in/img"):
        draw = color_jitter.JitterDraw(
            brightness=case.tensor(f"in/brightness_factor{index}"),
            contrast=case.tensor(f"in/contrast_factor{index}"),
            saturation=case.tensor(f"in/saturation_factor{index}"),
            hue=case.tensor(f"in/hue_factor{index}"),
            order=tuple(case.tensor(f"in/order{index}").tolist()),
        )
        jittered = color_jitter.color_jitter(case.tensor(f"in/img{index}"), draw, mean, std)
        case.compare(f"out/jittered{index}", jittered)
    for recorded in case.json["random_decisions"]["cases"]:
        _check_ranges(case, recorded)


def _check_ranges(case: Case, recorded: dict[str, Any]) -> None:
    strength = recorded["strength"]
    limits = (
        color_jitter.JitterStrength(**strength)
        if isinstance(strength, dict)
        else color_jitter.JitterStrength.uniform(strength)
    )
    for name in ("brightness", "contrast", "saturation"):
        low, high = color_jitter.factor_range(getattr(limits, name))
        inside = [low <= factor <= high for factor in recorded[f"{name}_factor"]]
        case.expect(f"range of {name}_factor{recorded['index']}", all(inside), True)
    inside = [abs(factor) <= limits.hue for factor in recorded["hue_factor"]]
    case.expect(f"range of hue_factor{recorded['index']}", all(inside), True)
