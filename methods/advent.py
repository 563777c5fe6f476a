"""AdvEnt: adversarial entropy minimisation (Vu et al., ADVENT, CVPR 2019).

AdaptSegNet, except that the discriminators see how uncertain the network is. A training step (section 3.2):

1. The student predicts source images and learns them: cross entropy.
2. It predicts target images.
3. A discriminator sees the weighted self-information of every class and pixel, ``-p log p``.
4. The student learns to make the target's look like the source's to the discriminator, which does not learn from it.
5. The discriminator learns to tell both domains apart, from which the student does not learn.
6. Both outputs of DeepLabV2 do all this, the auxiliary one with smaller weights.

Framework, quirks and their options are those of `methods/minent.py`; that one iteration more is trained is a quirk of
its own.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from adaptbench.adaptation.entropy import self_information
from adaptbench.contracts.method import PublishedSettings
from adaptbench.contracts.profiles import Iterations
from adaptbench.networks.pretrained.adversarial import TWO_CLASSIFIERS
from methods.adaptsegnet import OutputAdversarial
from methods.minent import ORIGINAL

S = TypeVar("S", bound="AdvEnt.Settings", default=Any)


class AdvEnt(OutputAdversarial[S]):
    """Uncertainty on the target is made to look like that on the source."""

    name = "advent"
    title = "AdvEnt"
    paper = "arXiv:1811.12833"
    tags: ClassVar[tuple[str, ...]] = ("adversarial", "entropy")
    published_files = TWO_CLASSIFIERS

    # 1, 2 and 4 to 6: `OutputAdversarial.losses`

    def discriminator_input(self, logits: Tensor) -> Tensor:
        """The self-information of every class. Shape: ``(B, C, H, W)``, unchanged."""
        return self_information(super().discriminator_input(logits))  # 3

    class Settings(OutputAdversarial.Settings):
        """Settings of ADVENT's framework."""

        iterations: Iterations = Field(120_001, ge=0, description="training iterations")

    published: ClassVar[PublishedSettings] = {("gta5_to_cityscapes", "deeplabv2-multi-r101"): ORIGINAL}
