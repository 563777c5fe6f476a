"""MIC on DAFormer: masked image consistency without HRDA's detail crop (Hoyer et al., CVPR 2023, table 2).

A training step is that of `methods/mic.py` with DAFormer as the host method.

Quirks are those of DAFormer and, for the masked pass, those of `methods/mic.py`. Blocks are half as large as there, and
so are the images.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from adaptbench.contracts.method import PublishedSettings
from adaptbench.contracts.profiles import Length
from adaptbench.contracts.resources import Resources
from methods.daformer import DAFormer
from methods.mic import MaskedConsistency


class MICDAFormer(MaskedConsistency["MICDAFormer.Settings"], DAFormer["MICDAFormer.Settings"]):
    """DAFormer with masked image consistency."""

    name = "mic_daformer"
    title = "MIC (DAFormer)"
    paper = "arXiv:2212.01322"
    tags = ("self-training",)

    class Settings(DAFormer.Settings, MaskedConsistency.Settings):  # pydantic: the first one's defaults win
        """Settings of DAFormer and of the masked pass."""

        mask_block: Length = Field(32, ge=1, description="side of a block in pixels of the crop")

    published: ClassVar[PublishedSettings] = {("gta5_to_cityscapes", "daformer-mit_b5"): {}}
    resources: ClassVar[Resources] = Resources(memory=11)
