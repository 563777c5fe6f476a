"""The baseline called TENT in the code of CoTTA for ACDC: norms learn the network's own labels."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from adaptbench.adaptation.seg_loss import weighted_cross_entropy
from adaptbench.networks.inference import Mode, Size, segment
from adaptbench.test_time.outcome import Outcome, Update
from adaptbench.test_time.updated import train_named_norms


class HardTentSettings(BaseModel):
    """Settings of `HardTent`; the default is that published for Cityscapes to ACDC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(7.5e-6, gt=0, description="of Adam: 6e-5 for a batch of 8, by 8")


class HardTent:
    """Cross entropy with the network's own most likely classes, in evaluation mode: statistics stay the source's.

    Args:
        network: trained in place.
        settings: of the optimiser.
        mode: how the network sees an image that it predicts; the step sees the whole image.

    Raises:
        UsageError: no parameter is named after a norm.

    Source: code of CoTTA for ACDC, arXiv 2203.13591; docs/quirks.md#t8.
    """

    def __init__(self, network: nn.Module, settings: HardTentSettings, mode: Mode) -> None:
        self.network, self.settings, self.mode = network.eval(), settings, mode
        self._trained = list(train_named_norms(network).values())
        self.renew()

    def renew(self) -> None:
        """A new optimiser: moments are zero again. The published code does so for every condition."""
        self.optimizer = torch.optim.Adam(self._trained, self.settings.learning_rate)

    def __call__(self, image: Tensor, size: Size) -> Outcome:
        """Predicts, then learns. Shape: ``(1, 3, H, W)`` to a label map ``(*size,)`` uint8."""
        label = segment(self.network, image, self.mode, size)
        loss = weighted_cross_entropy(self.network(image), label[None].long())
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        return Outcome(label, [Update(loss.detach(), label)])
