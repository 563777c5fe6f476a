"""AdaptSegNet: adversarial adaptation of the output space (Tsai et al., CVPR 2018).

A training step (sections of the paper); each output of the network has a discriminator of its own:

1. The student predicts source images and learns them: cross entropy (section 4.1).
2. It predicts target images.
3. A discriminator sees the class probabilities of an output (section 4.1).
4. The student learns to make the target's look like the source's to the discriminator, which does not learn from it.
5. The discriminator learns to tell both domains apart, from which the student does not learn.
6. A network with an auxiliary output does all this for it, too, with smaller weights (section 4.2).

The settings are those of the re-run in the HRDA framework with the least squares loss (ECCV 2022, table 2: 44.2 mIoU on
GTA5 to Cityscapes, cityscapes19, val; mean of 3 seeds). The original release trains a network with two outputs and the
logistic loss, in the framework that `methods/minent.py` describes: `network` ``deeplabv2-multi-r101``,
`discriminator_loss` ``bce``, `pictures` ``whole``, `align_corners` true, `batch_size` 1.

Quirks of the published behaviour, kept as defaults:

- ignored pixels count in the mean of the cross entropy;
- the two halves of a discriminator's loss are divided by 2, the least squares are taken of raw scores;
- discriminators have a schedule of their own, without warm-up.

Gradients of both discriminators and of both domains are taken in one backward pass here; the reference takes four.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import TypeVar

from adaptbench.adaptation.discriminator import (
    SOURCE,
    TARGET,
    DomainLoss,
    OutputDiscriminator,
    domain_loss,
    frozen,
)
from adaptbench.contracts.method import LossGroup, Optimizers, PublishedSettings
from adaptbench.contracts.profiles import Channels, SideRate
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch
from adaptbench.data.units import later
from adaptbench.optim.optimizer import by_name, poly_schedule
from methods.minent import RERUN, OutputAdaptation, Outputs, RerunSettings, log_name

S = TypeVar("S", bound="OutputAdversarial.Settings", default=Any)
A = TypeVar("A", bound="AdaptSegNet.Settings", default=Any)


class OutputAdversarial(OutputAdaptation[S]):
    """A discriminator for every output of the network, and a network that deceives them on the target."""

    def __init__(self, task: Task, settings: S) -> None:
        super().__init__(task, settings)
        classes, width = len(task.class_set), settings.discriminator_width
        self.discriminators = nn.ModuleDict(
            {name: OutputDiscriminator(classes, width) for name in self.output_names()}
        )

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """Source loss; deceiving the discriminators on the target; what the discriminators learn."""
        source_losses, source = self.source_pass(batch)
        yield source_losses  # 1
        target = self.target_pass(batch)  # 2
        yield self.adversarial_losses(target)  # 3 and 4
        yield self.discriminator_losses(source, target)  # 3 and 5

    def discriminator_input(self, logits: Tensor) -> Tensor:
        """What a discriminator sees of an output: class probabilities. Shape: ``(B, C, H, W)``, unchanged."""
        return logits.softmax(dim=1)

    def adversarial_losses(self, target: Outputs) -> LossGroup:
        """How far the target's outputs are from being taken for the source's; the discriminators do not learn."""
        weights = {"main": self.settings.adversarial_weight, "aux": self.settings.adversarial_weight_aux}
        losses: dict[str, Tensor] = {}
        with frozen(self.discriminators):
            for name, logits in target.items():
                loss = self._domain_loss(name, logits, SOURCE)
                losses[log_name(name, "target.loss_adversarial")] = weights[name] * loss
        return losses

    def discriminator_losses(self, source: Outputs, target: Outputs) -> LossGroup:
        """How far the discriminators are from telling the domains apart; the network does not learn."""
        losses: dict[str, Tensor] = {}
        for key, outputs, domain in (("source", source, SOURCE), ("target", target, TARGET)):
            for name, logits in outputs.items():
                loss = self._domain_loss(name, logits.detach(), domain) / 2
                losses[log_name(name, f"discriminator.loss_{key}")] = loss
        return losses

    def optimizers(self) -> Optimizers:
        """That of the student, and Adam for every discriminator."""
        rate = self.settings.discriminator_learning_rate
        adams = {
            f"discriminator_{name}": OptimWrapper(
                torch.optim.Adam(discriminator.parameters(), lr=rate, betas=(0.9, 0.99))
            )
            for name, discriminator in self.discriminators.items()
        }
        return OptimWrapperDict(student=self.student_optimizer(), **adams)

    def schedules(self, optimizers: Optimizers) -> list[Any]:
        """That of the student, and a polynomial decay for every discriminator."""
        iterations = self.settings.schedule_iterations or self.settings.iterations
        power, lowest = self.settings.discriminator_poly_power, self.settings.discriminator_learning_rate_min
        others = [optimizer for name, optimizer in by_name(optimizers).items() if name != "student"]
        return [
            *super().schedules(optimizers),
            *(poly_schedule(optimizer, power, iterations, lowest) for optimizer in others),
        ]

    def _domain_loss(self, name: str, logits: Tensor, domain: float) -> Tensor:
        kind = self.settings.discriminator_loss
        scores = self.discriminators[name](self.discriminator_input(logits))
        if not logits.requires_grad and self.observers:
            target = scores if kind == "ls" else scores.sigmoid()
            observed = "source" if domain == SOURCE else "target"
            self.observe(observed, **{f"discriminator_{name}": target.clamp(0, 1)})
        return domain_loss(scores, domain, kind)

    class Settings(OutputAdaptation.Settings):
        """Settings of the discriminators."""

        adversarial_weight: float = Field(
            0.001, ge=0, description="weight of deceiving the main output's discriminator"
        )
        adversarial_weight_aux: float = Field(
            0.0002, ge=0, description="weight of deceiving the auxiliary output's discriminator"
        )
        discriminator_loss: DomainLoss = Field(
            "bce", description="ls = least squares, bce = binary cross entropy"
        )
        discriminator_learning_rate: SideRate = Field(1e-4, gt=0, description="of Adam, at its highest")
        discriminator_learning_rate_min: SideRate = later(
            0.0, ge=0, description="of Adam, at which its decay ends in place of zero"
        )
        discriminator_poly_power: float = Field(
            0.9, gt=0, description="power of the polynomial decay to zero"
        )
        discriminator_width: Channels = Field(64, ge=1, description="channels after its first convolution")


class AdaptSegNet(OutputAdversarial[A]):
    """Predictions on the target are made to look like those on the source."""

    name = "adaptsegnet"
    title = "AdaptSegNet"
    paper = "arXiv:1802.10349"
    tags = ("adversarial",)

    class Settings(RerunSettings, OutputAdversarial.Settings):  # pydantic: the first one's defaults win
        """Settings of the re-run."""

        discriminator_loss: DomainLoss = Field(
            "ls", description="ls = least squares, bce = binary cross entropy"
        )

    published: ClassVar[PublishedSettings] = {("gta5_to_cityscapes", "deeplabv2-r101"): RERUN}
