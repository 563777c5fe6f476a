"""Pseudo labels and region masks."""

from __future__ import annotations

import torch

from adaptbench.adaptation import pseudo_label

from ..case import Case
from ..registry import handler


@handler("pseudo_label")
def check(case: Case) -> None:
    label, weight, _ = pseudo_label.pseudo_label(case.tensor("in/logits"), case.hyper("pseudo_threshold"))
    case.compare("out/pseudo_label", label)
    case.compare("out/plain/pseudo_weight", pseudo_label.restrict(weight))
    if "weight_before_masks" in case.facts:
        share = torch.full_like(weight, case.facts["weight_before_masks"])
        case.expect("facts/weight_before_masks", weight, share, atol=1e-7)
    if "in/valid_pseudo_mask" in case.all_arrays:
        mask = case.tensor("in/valid_pseudo_mask")
        case.compare("out/valid_mask/pseudo_weight", pseudo_label.restrict(weight, mask))
    if "in/valid_pseudo_mask_with_255_padding" in case.all_arrays:
        mask = case.tensor("in/valid_pseudo_mask_with_255_padding")
        case.compare("out/valid_mask_255/pseudo_weight", pseudo_label.restrict(weight, mask))
    if "out/ignore_top_bottom/pseudo_weight" in case.all_arrays:
        top, bottom = case.hyper("pseudo_weight_ignore_top"), case.hyper("pseudo_weight_ignore_bottom")
        restricted = pseudo_label.restrict(weight, ignore_top=top, ignore_bottom=bottom)
        case.compare("out/ignore_top_bottom/pseudo_weight", restricted)
    if "in/tie_logits" in case.all_arrays:
        tie = pseudo_label.pseudo_label(case.tensor("in/tie_logits"), case.hyper("tie_threshold"))
        case.compare("out/tie/pseudo_label", tie.label)
        case.compare("out/tie/pseudo_weight", tie.weight)
