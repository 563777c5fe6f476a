"""MIC on DAFormer: masked image consistency without HRDA's detail crop (Hoyer et al., CVPR 2023, table 2).

Quirks are those of DAFormer and, for the masked pass, those of `methods/mic.py`. Blocks are half as large as there, and
so are the pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from adaptbench.contracts.profiles import Length
from methods.daformer import DAFormer
from methods.mic import MaskedConsistency


class MICDAFormer(MaskedConsistency, DAFormer):
    """DAFormer with masked image consistency."""

    name = "mic_daformer"
    title = "MIC (DAFormer)"
    paper = "arXiv:2212.01322"
    tags = ("self-training",)
    published: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = {
        ("gta5_to_cityscapes", "daformer-mit_b5"): {},
    }
    printed: ClassVar[Mapping[str, tuple[str, str, str, str]]] = {
        "daformer-mit_b5": ("MIC", "MIC(DAFormer)", "MiT-B5", "DAFormer"),
    }

    class Settings(DAFormer.Settings, MaskedConsistency.Settings):  # pydantic: the first one's defaults win
        """Settings of DAFormer and of the masked pass."""

        mask_block: Length = Field(32, ge=1, description="side of a block in pixels of the crop")

    settings: Settings
