"""AdvEnt: adversarial entropy minimisation (Vu et al., ADVENT, CVPR 2019).

AdaptSegNet, except that the discriminators see how uncertain the network is: the weighted self-information of every
class and pixel. Framework, quirks and their options are those of `methods/minent.py`; that one iteration more is
trained is a quirk of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from adaptbench.adaptation.entropy import self_information
from adaptbench.contracts.profiles import Iterations
from adaptbench.networks.pretrained.adversarial import TWO_CLASSIFIERS
from methods.adaptsegnet import OutputAdversarial
from methods.minent import ORIGINAL


class AdvEnt(OutputAdversarial):
    """Uncertainty on the target is made to look like that on the source."""

    name = "advent"
    title = "AdvEnt"
    paper = "arXiv:1811.12833"
    tags: ClassVar[tuple[str, ...]] = ("adversarial", "entropy")
    published_files = TWO_CLASSIFIERS
    published: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = {
        ("gta5_to_cityscapes", "deeplabv2-multi-r101"): ORIGINAL,
    }
    printed: ClassVar[Mapping[str, tuple[str, str, str, str]]] = {
        "deeplabv2-multi-r101": ("ADVENT", "AdvEnt", "ResNet-101", "DeepLabV2"),
    }

    class Settings(OutputAdversarial.Settings):
        """Settings of ADVENT's framework."""

        iterations: Iterations = Field(120_001, ge=0, description="training iterations")

    settings: Settings

    def evidence(self, logits: Tensor) -> Tensor:
        """The self-information of every class. Shape: ``(B, C, H, W)``, unchanged."""
        return self_information(super().evidence(logits))
