"""FADA before its self-distillation: class-level adversarial alignment (Wang et al., Classes Matter, ECCV 2020).

Two trainings. The first learns the source (`methods/fada_source.py`). A step of the second (equations of the paper):

1. The student makes features of source images, and logits, which are divided by the temperature.
2. It learns the source: cross entropy.
3. Soft labels of the source's pixels, their class probabilities, are cut off at `soft_label_clip` (equations 6 and 7).
4. Features, logits and soft labels of target images are made likewise.
5. The encoder learns to make the target's features look like those of the same class on the source, to a discriminator
   that tells of every pixel its domain and class, and does not learn from it (equation 5).
6. The discriminator learns to tell class and domain of source pixels from their features (equation 4).
7. It learns those of target pixels likewise.

Published: 46.9 mIoU on GTA5 to Cityscapes, cityscapes19, val, with the checkpoint that is best on target labels. Ours
scores the last iterate.

Quirks that are defaults, beside those of `methods/fada_source.py`:

- the logits are divided by the temperature before the supervised loss, too, but only in the second training;
- soft labels above `soft_label_clip` become it, and are not normalised again (null: none is clipped).

Where its numbers are claimed, learning rates also decay towards an iteration that is never reached
(`schedule_iterations` and the like).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from adaptbench.adaptation.class_discriminator import (
    Alignment,
    ClassDiscriminator,
    DomainHalf,
    class_label,
    domain_cross_entropy,
)
from adaptbench.adaptation.discriminator import frozen
from adaptbench.contracts.method import LossGroup, Optimizers, PublishedSettings, Stage
from adaptbench.contracts.profiles import Channels, ImageCount, Iterations, SideRate
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch
from adaptbench.data.framing import WholeImages
from adaptbench.data.image_jitter import Jitter
from adaptbench.data.sampling import Sampling
from adaptbench.data.units import later
from adaptbench.networks import Segmentor
from adaptbench.optim.optimizer import by_name, poly_schedule
from methods.fada_source import BENCHMARKS, NETWORKS, FADASource

#: What the original release does beside the defaults below.
ORIGINAL: Mapping[str, Any] = {
    "rate_factor": 2.0,
    "schedule_iterations": 62_500,
    "source_schedule_iterations": 31_250,
}

S = TypeVar("S", bound="FADAAlignment.Settings", default=Any)


class FADAAlignment(FADASource[S]):
    """Features of the target are made to look like those of the same class on the source."""

    name = "fada_alignment"
    title = "FADA without self-distillation"
    paper = "arXiv:2007.09222"
    version = 2
    tags = ("adversarial",)
    uses_target_images = True

    def __init__(self, task: Task, settings: S) -> None:
        super().__init__(task, settings)
        classes = 1 if settings.alignment == "binary" else len(task.class_set)
        channels = _feature_channels(self.student)
        self.discriminator = ClassDiscriminator(channels, classes, settings.discriminator_width)

    @classmethod
    def stages(cls, settings: S) -> list[Stage]:
        """Source, alignment."""
        return [Stage("source", FADASource, _source(settings)), Stage("alignment", cls, settings, start=0)]

    @classmethod
    def sampling(cls, settings: S) -> Sampling:
        """Whole images, those of the source drawn by the classes they show and with jittered colours."""
        jitter = Jitter() if settings.color_jitter else None
        return Sampling(framing=WholeImages(), balanced=settings.class_balanced, jitter=jitter)

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """Source loss; deceiving the discriminator on the target; what the discriminator learns."""
        assert batch.target is not None
        source, logits = self._features_and_logits(batch.source.image)  # 1
        yield self.segmentation_loss(logits, batch.source.label)  # 2
        source_label = self._class_label(logits)  # 3
        target, logits = self._features_and_logits(batch.target.image)  # 4
        target_label = self._class_label(logits)
        with frozen(self.discriminator):
            loss = self._domain_loss(target, target_label, "source")  # 5
        yield {"target.loss_adversarial": self.settings.adversarial_weight * loss}
        weight = self.settings.discriminator_weight
        loss = self._domain_loss(source.detach(), source_label, "source")  # 6
        yield {"discriminator.loss_source": weight * loss}
        loss = self._domain_loss(target.detach(), target_label, "target")  # 7
        yield {"discriminator.loss_target": weight * loss}

    def optimizers(self) -> Optimizers:
        """That of the student, and Adam for the discriminator."""
        settings = self.settings
        adam = torch.optim.Adam(
            self.discriminator.parameters(),
            lr=settings.discriminator_learning_rate,
            betas=settings.discriminator_betas,
            weight_decay=settings.discriminator_weight_decay,
        )
        return OptimWrapperDict(student=super().optimizers(), discriminator=OptimWrapper(adam))

    def schedules(self, optimizers: Optimizers) -> list[Any]:
        """That of the student, and the same decay for the discriminator."""
        iterations = self.settings.schedule_iterations or self.settings.iterations
        discriminator = by_name(optimizers)["discriminator"]
        lowest = self.settings.discriminator_learning_rate_min
        decay = poly_schedule(discriminator, self.settings.poly_power, iterations, lowest)
        return [*super().schedules(optimizers), decay]

    def _features_and_logits(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features, and logits at the size of the image, divided by the temperature."""
        maps = self.student.backbone(image)
        logits = self.resized(self.student.decode_head(maps), image)
        return maps[-1], logits / self.settings.temperature

    def _class_label(self, logits: Tensor) -> Tensor:
        return class_label(logits, self.settings.alignment, self.settings.soft_label_clip)

    def _domain_loss(self, features: Tensor, label: Tensor, half: DomainHalf) -> Tensor:
        return domain_cross_entropy(self.resized(self.discriminator(features), label), label, half)

    class Settings(FADASource.Settings):
        """Settings of both trainings; those without prefix are the second one's."""

        iterations: Iterations = Field(40_000, ge=0, description="iterations of the alignment")
        batch_size: ImageCount = Field(
            4, ge=1, description="images per domain and iteration of the alignment"
        )
        learning_rate: float = Field(
            2.5e-4, gt=0, description="of the encoder in the alignment, at its highest"
        )
        temperature: float = Field(1.8, gt=0, description="logits are divided by it in the alignment")
        alignment: Alignment = Field(
            "soft", description="what is told of a pixel: soft or hard class, or neither (binary)"
        )
        soft_label_clip: float | None = Field(
            0.9, gt=0, le=1, description="largest probability in a soft label"
        )
        adversarial_weight: float = Field(0.001, ge=0, description="weight of deceiving the discriminator")
        discriminator_weight: float = Field(
            0.5, ge=0, description="weight of each half of the discriminator's loss"
        )
        discriminator_learning_rate: SideRate = Field(1e-4, gt=0, description="of Adam, at its highest")
        discriminator_learning_rate_min: SideRate = later(
            0.0, ge=0, description="of Adam, at which its decay ends in place of zero"
        )
        discriminator_betas: tuple[float, float] = later(
            (0.9, 0.99), description="shares of Adam's running averages of gradients and of their squares"
        )
        discriminator_weight_decay: float = later(
            0.0, ge=0, description="factor of the weights in the gradients that Adam sees"
        )
        discriminator_width: Channels = Field(256, ge=2, description="channels after its first convolution")
        color_jitter: bool = Field(
            True, description="jitter the colours of labelled images after the first training"
        )
        source_iterations: Iterations = Field(20_000, ge=0, description="iterations of the source training")
        source_schedule_iterations: Iterations | None = Field(
            None, ge=1, description="the same as schedule_iterations, of the source training"
        )
        source_batch_size: ImageCount = Field(
            8, ge=1, description="images per iteration of the source training"
        )
        rate_factor: float = Field(
            1.0, gt=0, description="factor on the learning rate in the source training and the distillation"
        )

    published: ClassVar[PublishedSettings] = {
        (benchmark, network): ORIGINAL for benchmark in BENCHMARKS for network in NETWORKS
    }


def _source(settings: FADAAlignment.Settings) -> FADASource.Settings:
    return FADASource.Settings.taken_from(
        settings,
        iterations=settings.source_iterations,
        schedule_iterations=settings.source_schedule_iterations,
        batch_size=settings.source_batch_size,
        learning_rate=settings.learning_rate * settings.rate_factor,
    )


def _feature_channels(student: Segmentor) -> int:
    """Channels of the feature map that the discriminator sees, the encoder's last one."""
    trained = student.training
    with torch.no_grad():
        channels = int(student.eval().backbone(torch.zeros(1, 3, 64, 64))[-1].shape[1])
    student.train(trained)
    return channels
