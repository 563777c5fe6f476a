"""DAFormer's component ablation: warm-up, rare class sampling (RCS), feature distance (FD), crop of pseudo-labels.

Rows without RCS and FD are DACS on the same network. A temperature of 1e9 draws all classes equally often, to the
last bit of the probabilities.
"""

from __future__ import annotations

from adaptbench.contracts.study import Delta, Published, Study, Variant

_SEGFORMER = {"network": "segformer-mit_b5"}
_BEFORE = {**_SEGFORMER, "ema_alpha": 0.99, "pseudo_ignore_top": 0, "pseudo_ignore_bottom": 0}
_NO_RCS = {**_BEFORE, "rare_class_sampling": False}
_NO_FD = {**_BEFORE, "feature_distance": "off"}


class Components(Study):
    """See the header of this file."""

    name = "daformer/components"
    title = "DAFormer: what each component is worth"
    paper = "arXiv:2111.14887"
    table = "Table 5 (components)"
    benchmarks = ("gta5_to_cityscapes",)
    variants = (
        Variant("no warm-up", "dacs", {**_SEGFORMER, "warmup": 0}, Published(51.8, 0.8, 3)),
        Variant("warm-up", "dacs", _SEGFORMER, Published(58.2, 0.9, 3)),
        Variant(
            "warm-up, classes equally often",
            "daformer",
            {**_NO_FD, "rare_class_temperature": 1e9},
            Published(62.0, 1.5, 3),
        ),
        Variant("warm-up, RCS", "daformer", _NO_FD, Published(64.0, 2.4, 3)),
        Variant(
            "warm-up, FD of all classes",
            "daformer",
            {**_NO_RCS, "feature_distance": "all"},
            Published(58.8, 0.4, 3),
        ),
        Variant("warm-up, FD", "daformer", _NO_RCS, Published(61.7, 2.6, 3)),
        Variant("warm-up, RCS, FD", "daformer", _BEFORE, Published(66.2, 1.0, 3)),
        Variant(
            "warm-up, RCS, FD, cropped pseudo-labels, alpha", "daformer", _SEGFORMER, Published(67.0, 0.4, 3)
        ),
        Variant("DAFormer", "daformer", {}, Published(68.3, 0.5, 3)),
        Variant("DeepLabV2, no warm-up", "dacs", {"warmup": 0}, Published(49.1, 2.0, 3)),
        Variant("DeepLabV2, everything", "daformer", {"network": "deeplabv2-r101"}, Published(56.0, 0.5, 3)),
    )
    reference = "warm-up"
    checks = (
        Delta("learning-rate warm-up", "warm-up", "no warm-up", 6.4),
        Delta("RCS", "warm-up, RCS", "warm-up", 5.8),
        Delta("of which equal frequency of classes", "warm-up, classes equally often", "warm-up", 3.8),
        Delta("FD of things", "warm-up, FD", "warm-up", 3.5),
        Delta("FD of all classes", "warm-up, FD of all classes", "warm-up", 0.6),
        Delta("RCS and FD", "warm-up, RCS, FD", "warm-up", 8.0),
        Delta(
            "crop of pseudo-labels and higher alpha",
            "warm-up, RCS, FD, cropped pseudo-labels, alpha",
            "warm-up, RCS, FD",
            0.8,
        ),
        Delta(
            "DAFormer's decoder over SegFormer's",
            "DAFormer",
            "warm-up, RCS, FD, cropped pseudo-labels, alpha",
            1.3,
        ),
        Delta("the whole recipe on DeepLabV2", "DeepLabV2, everything", "DeepLabV2, no warm-up", 6.9),
    )
