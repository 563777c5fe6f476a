"""MIC on DAFormer: masked image consistency without HRDA's detail crop (Hoyer et al., CVPR 2023, table 2).

Quirks are those of DAFormer and, for the masked pass, those of `methods/mic.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

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

    class Settings(DAFormer.Settings, MaskedConsistency.Settings):  # pydantic: the first one's defaults win
        """Settings of DAFormer and of the masked pass."""

    settings: Settings
