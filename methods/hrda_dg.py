"""HRDA for domain generalization: source images alone, with or without SHADE (Hoyer et al., TPAMI 2024).

Quirks are those of HRDA and of `methods/daformer_dg.py`; base styles are taken at the context scale.
"""

from __future__ import annotations

from methods.daformer_dg import Generalization
from methods.hrda import TwoScales


class HRDADG(TwoScales, Generalization):
    """HRDA's network and DAFormer's training strategies on the source alone."""

    name = "hrda_dg"
    title = "HRDA (DG)"
    paper = "arXiv:2304.13615"
    tags = ("domain-generalization",)

    class Settings(TwoScales.Settings, Generalization.Settings):  # pydantic: the first one's defaults win
        """Settings of both scales and of SHADE."""

    settings: Settings

    def style_scale(self) -> float:
        """That of the context."""
        return self.settings.context_scale
