"""HRDA on other methods: entropy minimisation, adversarial training, DACS and DAFormer's UDA.

All single-scale rows but the last are re-runs in the authors' framework on DeepLabV2 with one output: crops, 40,000
iterations, colours of the source distorted for the first two. HRDA on DACS has no rare class sampling, no feature
distance and no margins, and tests on whole images, as in the experiments the authors list (lhoyer/HRDA,
experiments.py). They list none for HRDA on DAFormer's UDA with DeepLabV2: here it is HRDA with that network.
"""

from __future__ import annotations

from adaptbench.contracts.study import Delta, Published, Study, Variant

_DEEPLAB = {"network": "deeplabv2-r101"}
_RERUN = {
    **_DEEPLAB,
    "iterations": 40_000,
    "batch_size": 2,
    "pictures": "crops",
    "align_corners": False,
    "ignored_pixels": "counted",
    "photometric_distortion": True,
}
_DACS = {
    **_DEEPLAB,
    "ema_alpha": 0.99,
    "rare_class_sampling": False,
    "feature_distance": "off",
    "margins": False,
    "inference": "whole",
}


class WithOtherUDA(Study):
    """See the header of this file."""

    name = "hrda/with-other-uda"
    title = "HRDA on other UDA methods"
    paper = "arXiv:2204.13132"
    table = "Table 2 (other UDA methods with HRDA)"
    benchmarks = ("gta5_to_cityscapes",)
    variants = (
        Variant("entropy minimisation", "minent", _RERUN, Published(44.3, 0.4, 3)),
        Variant("entropy minimisation + HRDA", "hrda_minent", {}, Published(46.7, 1.2, 3)),
        Variant("adversarial", "adaptsegnet", {}, Published(44.2, 0.1, 3)),
        Variant("adversarial + HRDA", "hrda_adaptsegnet", {}, Published(47.1, 1.0, 3)),
        Variant("DACS", "dacs", {}, Published(53.9, 0.6, 3)),
        Variant("DACS + HRDA", "hrda", _DACS, Published(59.4, 1.2, 3)),
        Variant("DAFormer UDA on DeepLabV2", "daformer", _DEEPLAB, Published(56.0, 0.5, 3)),
        Variant("DAFormer UDA on DeepLabV2 + HRDA", "hrda", _DEEPLAB, Published(63.0, 0.4, 3)),
        Variant("DAFormer", "daformer", {}, Published(68.3, 0.5, 3)),
        Variant("DAFormer + HRDA", "hrda", {}, Published(73.8, 0.3, 3)),
    )
    checks = (
        Delta("HRDA on entropy minimisation", "entropy minimisation + HRDA", "entropy minimisation", 2.4),
        Delta("HRDA on adversarial training", "adversarial + HRDA", "adversarial", 2.9),
        Delta("HRDA on DACS", "DACS + HRDA", "DACS", 5.5),
        Delta(
            "HRDA on DAFormer's UDA, DeepLabV2",
            "DAFormer UDA on DeepLabV2 + HRDA",
            "DAFormer UDA on DeepLabV2",
            7.0,
        ),
        Delta("HRDA on DAFormer", "DAFormer + HRDA", "DAFormer", 5.5),
    )
