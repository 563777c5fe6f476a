"""FADA before its self-distillation: class-level adversarial alignment (Wang et al., Classes Matter, ECCV 2020).

Two trainings. The first learns the source. In the second a discriminator of pixels learns not only which domain but
also which class of it the features of a pixel belong to, and the encoder makes the features of the target look like
those of the same class on the source.

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

from adaptbench.adaptation.class_discriminator import (
    Alignment,
    ClassDiscriminator,
    DomainHalf,
    class_label,
    domain_cross_entropy,
)
from adaptbench.adaptation.discriminator import frozen
from adaptbench.contracts.method import LossGroup, Optimizers, Stage, Task
from adaptbench.contracts.profiles import Channels, Iterations, Pictures
from adaptbench.contracts.settings import Settings as BaseSettings
from adaptbench.data.batch import Batch
from adaptbench.data.framing import WholePictures
from adaptbench.data.picture_jitter import Jitter
from adaptbench.data.sampling import Sampling
from adaptbench.networks import Segmentor
from adaptbench.optim.optimizer import by_name, poly_schedule
from methods.fada_source import BENCHMARKS, NETWORKS, FADASource

#: What the original release does beside the defaults below.
ORIGINAL: Mapping[str, Any] = {
    "rate_factor": 2.0,
    "schedule_iterations": 62_500,
    "source_schedule_iterations": 31_250,
}


class FADAAlignment(FADASource):
    """Features of the target are made to look like those of the same class on the source."""

    name = "fada_alignment"
    title = "FADA without self-distillation"
    paper = "arXiv:2007.09222"
    version = 2
    tags = ("adversarial",)
    uses_target_images = True
    printed: ClassVar[Mapping[str, tuple[str, str, str, str]]] = {
        "deeplabv2-fada-r101": ("FADA", "adversarial training only (soft labels)", "ResNet-101", "DeepLabV2"),
    }
    published: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = {
        (benchmark, network): ORIGINAL for benchmark in BENCHMARKS for network in NETWORKS
    }

    class Settings(FADASource.Settings):
        """Settings of both trainings; those without prefix are the second one's."""

        iterations: Iterations = Field(40_000, ge=0, description="iterations of the alignment")
        batch_size: Pictures = Field(4, ge=1, description="images per domain and iteration of the alignment")
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
        discriminator_learning_rate: float = Field(1e-4, gt=0, description="of Adam, at its highest")
        discriminator_width: Channels = Field(256, ge=2, description="channels after its first convolution")
        color_jitter: bool = Field(
            True, description="jitter the colours of labelled pictures after the first training"
        )
        source_iterations: Iterations = Field(20_000, ge=0, description="iterations of the source training")
        source_schedule_iterations: Iterations | None = Field(
            None, ge=1, description="the same as schedule_iterations, of the source training"
        )
        source_batch_size: Pictures = Field(
            8, ge=1, description="images per iteration of the source training"
        )
        rate_factor: float = Field(
            1.0, gt=0, description="factor on the learning rate in the source training and the distillation"
        )

    settings: Settings

    def __init__(self, task: Task, settings: Settings) -> None:
        super().__init__(task, settings)
        self.settings = settings
        classes = 1 if settings.alignment == "binary" else len(task.class_set)
        channels = _feature_channels(self.student)
        self.discriminator = ClassDiscriminator(channels, classes, settings.discriminator_width)

    @classmethod
    def stages(cls, settings: BaseSettings) -> list[Stage]:
        """Source, alignment."""
        assert isinstance(settings, FADAAlignment.Settings)
        return [Stage("source", FADASource, _source(settings)), Stage("alignment", cls, settings, start=0)]

    @classmethod
    def sampling(cls, settings: BaseSettings) -> Sampling:
        """Whole pictures, those of the source drawn by the classes they show and with jittered colours."""
        assert isinstance(settings, FADAAlignment.Settings)
        jitter = Jitter() if settings.color_jitter else None
        return Sampling(framing=WholePictures(), balanced=settings.class_balanced, jitter=jitter)

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """Source loss; deceiving the discriminator on the target; what the discriminator learns."""
        assert batch.target is not None
        source, logits = self._seen(batch.source.image)
        yield self.segmentation_loss(logits, batch.source.label)
        source_label = self._class_label(logits)
        target, logits = self._seen(batch.target.image)
        target_label = self._class_label(logits)
        with frozen(self.discriminator):
            loss = self._domain_loss(target, target_label, "source")
        yield {"target.loss_adversarial": self.settings.adversarial_weight * loss}
        weight = self.settings.discriminator_weight
        loss = self._domain_loss(source.detach(), source_label, "source")
        yield {"discriminator.loss_source": weight * loss}
        loss = self._domain_loss(target.detach(), target_label, "target")
        yield {"discriminator.loss_target": weight * loss}

    def optimizers(self) -> Optimizers:
        """That of the student, and Adam for the discriminator."""
        rate = self.settings.discriminator_learning_rate
        adam = torch.optim.Adam(self.discriminator.parameters(), lr=rate, betas=(0.9, 0.99))
        return OptimWrapperDict(student=super().optimizers(), discriminator=OptimWrapper(adam))

    def schedules(self, optimizers: Optimizers) -> list[Any]:
        """That of the student, and the same decay for the discriminator."""
        iterations = self.settings.schedule_iterations or self.settings.iterations
        discriminator = by_name(optimizers)["discriminator"]
        decay = poly_schedule(discriminator, self.settings.poly_power, iterations)
        return [*super().schedules(optimizers), decay]

    def _seen(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features, and logits at the size of the picture, divided by the temperature."""
        maps = self.student.backbone(image)
        logits = self.aligned(self.student.decode_head(maps), image)
        return maps[-1], logits / self.settings.temperature

    def _class_label(self, logits: Tensor) -> Tensor:
        return class_label(logits, self.settings.alignment, self.settings.soft_label_clip)

    def _domain_loss(self, features: Tensor, label: Tensor, half: DomainHalf) -> Tensor:
        return domain_cross_entropy(self.aligned(self.discriminator(features), label), label, half)


def _source(settings: FADAAlignment.Settings) -> FADASource.Settings:
    changes = {
        "iterations": settings.source_iterations,
        "schedule_iterations": settings.source_schedule_iterations,
        "batch_size": settings.source_batch_size,
        "learning_rate": settings.learning_rate * settings.rate_factor,
    }
    shared = settings.model_dump(include=set(FADASource.Settings.model_fields))
    return FADASource.Settings.model_validate({**shared, **changes})


def _feature_channels(student: Segmentor) -> int:
    """Channels of the feature map that the discriminator sees, the encoder's last one."""
    trained = student.training
    with torch.no_grad():
        channels = int(student.eval().backbone(torch.zeros(1, 3, 64, 64))[-1].shape[1])
    student.train(trained)
    return channels
