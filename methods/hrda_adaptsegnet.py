"""HRDA on AdaptSegNet: adversarial training on a context crop and a detail crop (HRDA, ECCV 2022, table 2).

AdaptSegNet as it was re-run in the framework of HRDA, with HRDA's network around DeepLabV2. A training step:

1. The student predicts source images on both scales and fused, and learns them, as in `methods/hrda.py`.
2. It predicts target images likewise.
3. The discriminator sees the class probabilities of the fused output at the size of the context.
4. The student learns to make the target's look like the source's to the discriminator, which does not learn from it.
5. The discriminator learns to tell both domains apart, from which the student does not learn.
6. It has a schedule of its own, without warm-up.

Published: 47.1 mIoU on GTA5 to Cityscapes (cityscapes19, val; mean of 3 seeds) instead of 44.2. Quirks are those of
`methods/hrda_minent.py` and `methods/adaptsegnet.py`.
"""

from __future__ import annotations

from typing import ClassVar

from adaptbench.contracts.method import PublishedSettings
from methods.adaptsegnet import AdaptSegNet
from methods.hrda_minent import TwoScaleOutputs


class HRDAAdaptSegNet(TwoScaleOutputs["HRDAAdaptSegNet.Settings"], AdaptSegNet["HRDAAdaptSegNet.Settings"]):
    """Fused predictions on the target are made to look like those on the source."""

    name = "hrda_adaptsegnet"
    title = "HRDA (AdaptSegNet)"
    paper = "arXiv:2204.13132"
    tags = ("adversarial",)
    # 1 to 3: `TwoScaleOutputs`; 4 to 6: `OutputAdversarial`

    class Settings(TwoScaleOutputs.Settings, AdaptSegNet.Settings):  # pydantic: the first one's defaults win
        """Settings of both scales and of the discriminator."""

    published: ClassVar[PublishedSettings] = {("gta5_to_cityscapes", "deeplabv2-r101"): {}}
