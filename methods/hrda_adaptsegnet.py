"""HRDA on AdaptSegNet: adversarial training on a context crop and a detail crop (HRDA, ECCV 2022, table 2).

AdaptSegNet as it was re-run in the framework of HRDA, with HRDA's network around DeepLabV2: 47.1 mIoU on GTA5 to
Cityscapes (cityscapes19, val; mean of 3 seeds) instead of 44.2. The discriminator sees the fused output at the size of
the context; quirks are those of `methods/hrda_minent.py` and `methods/adaptsegnet.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from methods.adaptsegnet import AdaptSegNet
from methods.hrda_minent import TwoScaleOutputs


class HRDAAdaptSegNet(TwoScaleOutputs, AdaptSegNet):
    """Fused predictions on the target are made to look like those on the source."""

    name = "hrda_adaptsegnet"
    title = "HRDA (AdaptSegNet)"
    paper = "arXiv:2204.13132"
    tags = ("adversarial",)
    published: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = {
        ("gta5_to_cityscapes", "deeplabv2-r101"): {},
    }
    printed: ClassVar[Mapping[str, tuple[str, str, str, str]]] = {
        "deeplabv2-r101": ("HRDA", "Adversarial + HRDA", "ResNet-101", "HRDA (DeepLabV2 head)"),
    }

    class Settings(TwoScaleOutputs.Settings, AdaptSegNet.Settings):  # pydantic: the first one's defaults win
        """Settings of both scales and of the discriminator."""

    settings: Settings
