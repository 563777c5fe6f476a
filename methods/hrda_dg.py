"""HRDA for domain generalization: source images alone, with or without SHADE (Hoyer et al., TPAMI 2024).

Quirks are those of HRDA and of `methods/daformer_dg.py`; base styles are taken at the context scale. With SHADE the
published detail crop is smaller than HRDA's, because twice the batch has to fit into 24 GB. Without it
(``style_hallucination=false``) it is HRDA's: add ``detail_crop=512``, in mini ``detail_crop=128``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from adaptbench.contracts.profiles import Length
from methods.daformer_dg import Generalization
from methods.hrda import TwoScales


class HRDADG(TwoScales, Generalization):
    """HRDA's network and DAFormer's training strategies on the source alone."""

    name = "hrda_dg"
    title = "HRDA (DG)"
    paper = "arXiv:2304.13615"
    tags = ("domain-generalization",)
    published: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = {
        ("gta5_dg", "daformer-mit_b5"): {},
    }
    printed: ClassVar[Mapping[str, tuple[str, str, str, str]]] = {
        "daformer-mit_b5": ("HRDA", "", "MiT-B5", "HRDA (DAFormer head)"),
    }

    class Settings(TwoScales.Settings, Generalization.Settings):  # pydantic: the first one's defaults win
        """Settings of both scales and of SHADE."""

        detail_crop: Length = Field(384, ge=8, description="side of the detail crop in pixels of the crop")

    settings: Settings

    def style_scale(self) -> float:
        """That of the context."""
        return self.settings.context_scale
