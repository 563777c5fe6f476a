"""Pseudo-label margins through the target pipeline."""

from __future__ import annotations

from adaptbench.data import pseudo_margins

from ..case import Case
from ..registry import handler


@handler("pseudo_margins")
def check(case: Case) -> None:
    margins = pseudo_margins.Margins(*case.hyper("crop_pseudo_margins_top_bottom_left_right"))
    height, width = case.hyper("image_size_hw")
    canvas_height, canvas_width = case.hyper("mask_size_before_resize_hw")
    for name, recorded in case.json["random_decisions"].items():
        resize_width, resize_height = recorded["resize_to_wh"]
        mask = pseudo_margins.margin_mask(
            margins, (width, height), (resize_width, resize_height), (canvas_height, canvas_width)
        )
        crop_height, crop_width = recorded["crop_size_hw"]
        for sample in recorded["samples"]:
            top, bottom, left, right = sample["crop_box_y1_y2_x1_x2"]
            crop = (slice(top, bottom), slice(left, right))
            got = pseudo_margins.crop_mask(mask, crop, sample["flip"], (crop_height, crop_width))
            case.compare(f"out/{name}/mask{sample['index']}", got[None])
