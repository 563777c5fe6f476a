"""HRDA's component ablation: two crops, how they are fused, overlapping detail windows, detail loss.

The rows with one crop are DAFormer's training at the resolution of that crop, with HRDA's margins and sliding
windows, as in the experiments the authors list (lhoyer/HRDA, experiments.py).
"""

from __future__ import annotations

from adaptbench.contracts.study import Delta, Published, Study, Variant

_ONE_SCALE = {"margins": True, "pseudo_ignore_top": 0, "pseudo_ignore_bottom": 0, "inference": "sliding"}
_DETAIL = {"resolution": 2.0, "crop": 1024, "rare_class_min_crop_ratio": 2.0}


class Components(Study):
    """See the header of this file."""

    name = "hrda/components"
    title = "HRDA: what each component is worth"
    paper = "arXiv:2204.13132"
    table = "component ablation (Table 7 of the authors' list of experiments)"
    benchmarks = ("gta5_to_cityscapes",)
    variants = (
        Variant(
            "detail only (HR 0.5)",
            "daformer",
            {**_ONE_SCALE, **_DETAIL, "synchronized_crop": 512},
            Published(65.1, 1.9, 3),
        ),
        Variant("context only (LR 1.0)", "daformer", _ONE_SCALE, Published(68.5, 0.9, 3)),
        Variant(
            "average",
            "hrda",
            {"attention": "fixed", "detail_windows": "adjacent", "detail_loss_weight": 0.0},
            Published(67.5, 0.8, 3),
        ),
        Variant(
            "scale attention",
            "hrda",
            {"detail_windows": "adjacent", "detail_loss_weight": 0.0},
            Published(71.5, 0.5, 3),
        ),
        Variant("with overlapping windows", "hrda", {"detail_loss_weight": 0.0}, Published(72.4, 0.1, 3)),
        Variant("HRDA", "hrda", {}, Published(73.8, 0.3, 3)),
    )
    reference = "HRDA"
    checks = (
        Delta("averaging is worse than the context alone", "average", "context only (LR 1.0)", -1.0),
        Delta("learned attention over averaging", "scale attention", "average", 4.0),
        Delta("overlapping detail windows", "with overlapping windows", "scale attention", 0.9),
        Delta("detail loss", "HRDA", "with overlapping windows", 1.4),
    )
