"""FADA: fine-grained adversarial adaptation (Wang et al., Classes Matter, ECCV 2020).

Three trainings. The first learns the source. In the second a discriminator of pixels learns not only which domain but
also which class of it the features of a pixel belong to, and the encoder makes the features of the target look like
those of the same class on the source. The third starts again from ImageNet weights and learns the target from the
labels that the second predicts for it.

Published: 49.2 mIoU on GTA5 to Cityscapes, cityscapes19, val, with the checkpoint that is best on target labels (50.1
with tests at several scales, `test_scales`, which have a board of their own). Ours scores the last iterate.

Quirks that are defaults:

- the logits are divided by the temperature before the supervised loss, too, but only in the second training;
- soft labels above `soft_label_clip` become it, and are not normalised again (null: none is clipped);
- batch norms of the encoder are frozen, without epsilon, in the first two trainings (`frozen_norm`), and in the last
  one where `distillation_frozen_norm` says so;
- source pictures are drawn by the classes they show (`class_balanced`); a queue passes over one picture per shuffle;
- pseudo-labels are single-scale predictions without threshold; the last network is tested with pictures of twice the
  size (`distillation_resolution`).

Where its numbers are claimed, learning rates also decay towards an iteration that is never reached
(`schedule_iterations` and the like).

Differences: colours are jittered after resizing instead of before; the list of source pictures is as long as the
training and not as its schedule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from pydantic import Field
from torch import Tensor, nn

from adaptbench.adaptation.class_discriminator import (
    Alignment,
    ClassDiscriminator,
    DomainHalf,
    class_label,
    domain_cross_entropy,
)
from adaptbench.adaptation.discriminator import frozen
from adaptbench.adaptation.picture_jitter import Jitter
from adaptbench.adaptation.seg_loss import labelled_cross_entropy, pixel_accuracy, resize_logits
from adaptbench.data.batch import Batch
from adaptbench.data.framing import ScaledCrops, WholePictures
from adaptbench.data.sampling import Sampling
from adaptbench.evaluation.inference import Averaged, Mode, Whole
from adaptbench.labelling import Labeller
from adaptbench.method import LossGroup, Method, Optimizers, Stage, Task
from adaptbench.networks import Segmentor
from adaptbench.networks.frozen_norm import freeze_norms
from adaptbench.profiles import Channels, Iterations
from adaptbench.settings import Settings as BaseSettings
from adaptbench.training.optimizer import build_schedule, by_name, poly_schedule
from adaptbench.weights.adversarial import ENCODER_AND_CLASSIFIER


class AlignedTraining(Method):
    """Supervised learning as all trainings of FADA have it: whole pictures, logits resized with aligned corners."""

    name = "fada_source"
    title = "FADA: source"
    uses_target_images = False

    class Settings(BaseSettings):
        """Settings of FADA's first training."""

        network: str = Field(
            "deeplabv2-fada-r101", description="network plug-in, timm:ENCODER or an mmseg config file"
        )
        iterations: Iterations = Field(20_000, ge=0, description="training iterations")
        schedule_iterations: Iterations | None = Field(
            None, ge=1, description="iteration at which the decay would reach zero; none = the last one"
        )
        batch_size: int = Field(8, ge=1, description="images per domain and iteration")
        optimizer: Literal["adamw", "sgd"] = Field("sgd", description="optimiser of the student")
        learning_rate: float = Field(5e-4, gt=0, description="of the encoder, at its highest")
        weight_decay: float = Field(
            5e-4, ge=0, description="share of a weight's learning rate it loses per step"
        )
        norm_weight_decay: bool = Field(True, description="whether encoder normalisation layers decay, too")
        warmup: Iterations = Field(0, ge=0, description="iterations of linear warm-up, on top of the decay")
        poly_power: float = Field(0.9, gt=0, description="power of the polynomial decay to zero")
        frozen_norm: bool = Field(
            True, description="whether batch norms of the encoder are frozen, without epsilon"
        )
        class_balanced: bool = Field(True, description="draw source pictures by the classes they show")

    settings: Settings
    student: Segmentor

    def __init__(self, task: Task, settings: Settings) -> None:
        super().__init__(task, settings)
        self.settings = settings

    def build_student(self) -> nn.Module:
        """The network, with or without frozen batch norms in its encoder."""
        student = super().build_student()
        assert isinstance(self.settings, AlignedTraining.Settings)
        if self.settings.frozen_norm:
            freeze_norms(student.get_submodule("backbone"))
        return student

    @classmethod
    def sampling(cls, settings: BaseSettings) -> Sampling:
        """Whole pictures, drawn by the classes they show."""
        assert isinstance(settings, AlignedTraining.Settings)
        return Sampling(framing=WholePictures(), balanced=settings.class_balanced)

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """Cross entropy of the labelled pictures."""
        logits = self.aligned(self.student(batch.labelled.image), batch.labelled.image)
        yield self.segmentation_loss(logits, batch.labelled.label)

    def aligned(self, logits: Tensor, image: Tensor) -> Tensor:
        """Logits at the size of the picture. Shape: ``(B, C, h, w)`` to ``(B, C, H, W)``."""
        return resize_logits(logits, (image.shape[-2], image.shape[-1]), align_corners=True)

    def segmentation_loss(
        self, logits: Tensor, label: Tensor, weight: Tensor | None = None, prefix: str = ""
    ) -> dict[str, Tensor]:
        """Cross entropy, averaged over labelled pixels, and accuracy as one loss group."""
        assert weight is None
        return {
            f"{prefix}loss_seg": labelled_cross_entropy(logits, label),
            f"{prefix}acc_seg": pixel_accuracy(logits, label),
        }

    def inference(self) -> Mode:
        """Whole pictures; the logits are resized as in training."""
        return Whole(aligned=True)

    def schedules(self, optimizers: Optimizers) -> list[Any]:
        """That of the student, to its own end."""
        student = by_name(optimizers)["student"]
        return build_schedule(student, self.settings, self.settings.schedule_iterations)


class ClassAlignment(AlignedTraining):
    """Features of the target are made to look like those of the same class on the source."""

    name = "fada_alignment"
    title = "FADA: class-level alignment"
    uses_target_images = True

    class Settings(AlignedTraining.Settings):
        """Settings of FADA's second training."""

        iterations: Iterations = Field(40_000, ge=0, description="iterations of the alignment")
        batch_size: int = Field(4, ge=1, description="images per domain and iteration of the alignment")
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

    settings: Settings

    def __init__(self, task: Task, settings: Settings) -> None:
        super().__init__(task, settings)
        self.settings = settings
        classes = 1 if settings.alignment == "binary" else len(task.class_set)
        channels = _feature_channels(self.student)
        self.discriminator = ClassDiscriminator(channels, classes, settings.discriminator_width)

    @classmethod
    def sampling(cls, settings: BaseSettings) -> Sampling:
        """Whole pictures, those of the source drawn by the classes they show and with jittered colours."""
        assert isinstance(settings, ClassAlignment.Settings)
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


#: What the original release does beside the defaults below.
_ORIGINAL: Mapping[str, Any] = {
    "rate_factor": 2.0,
    "schedule_iterations": 62_500,
    "source_schedule_iterations": 31_250,
    "distillation_schedule_iterations": 31_250,
}


class FADA(AlignedTraining):
    """Learns the target from the labels that an aligned network predicts for it."""

    name = "fada"
    title = "FADA"
    paper = "arXiv:2007.09222"
    tags = ("adversarial", "self-training")
    uses_target_images = False
    published_files = ENCODER_AND_CLASSIFIER
    published: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = {
        ("gta5_to_cityscapes", "deeplabv2-fada-r101"): _ORIGINAL,
        ("gta5_to_cityscapes", "deeplabv2-fada-vgg16"): {**_ORIGINAL, "distillation_color_jitter": False},
    }

    class Settings(ClassAlignment.Settings):
        """Settings of all three trainings; those without prefix are the alignment's."""

        source_iterations: Iterations = Field(20_000, ge=0, description="iterations of the source training")
        source_schedule_iterations: Iterations | None = Field(
            None, ge=1, description="the same as schedule_iterations, of the source training"
        )
        source_batch_size: int = Field(8, ge=1, description="images per iteration of the source training")
        rate_factor: float = Field(
            1.0, gt=0, description="factor on the learning rate in the source training and the distillation"
        )
        distillation_iterations: Iterations = Field(
            20_000, ge=0, description="iterations of the self-distillation"
        )
        distillation_schedule_iterations: Iterations | None = Field(
            None, ge=1, description="the same as schedule_iterations, of the self-distillation"
        )
        distillation_batch_size: int = Field(
            8, ge=1, description="images per iteration of the self-distillation"
        )
        distillation_frozen_norm: bool = Field(
            False, description="whether batch norms of the encoder are frozen in the self-distillation, too"
        )
        distillation_color_jitter: bool = Field(True, description="jitter colours in the self-distillation")
        test_scales: tuple[float, ...] = Field(
            (1.0,), min_length=1, description="scales at which the last network is tested"
        )
        test_flip: bool = Field(
            False, description="whether the last network is tested with mirrored pictures, too"
        )
        distillation_resolution: float = Field(
            2.0,
            gt=0,
            description="factor on the dataset's training size in the self-distillation and its tests",
        )

    settings: Settings

    @classmethod
    def skip(cls, task: Task) -> str | None:
        """Its last training sees the target as labelled pictures."""
        return ClassAlignment.skip(task)

    @classmethod
    def stages(cls, settings: BaseSettings) -> list[Stage]:
        """Source, alignment, labels of the target, self-distillation from the start weights."""
        assert isinstance(settings, FADA.Settings)
        source, alignment = _source(settings), _alignment(settings)
        return [
            Stage("source", AlignedTraining, source),
            Stage("alignment", ClassAlignment, alignment, start=0),
            Stage("pseudo-labels", ClassAlignment, alignment, start=1, labeller=Labeller("file")),
            Stage("self-distillation", cls, _distillation(settings), labels=2),
        ]

    @classmethod
    def sampling(cls, settings: BaseSettings) -> Sampling:
        """Mirrored crops of pictures at random scales, twice as wide as high, with jittered colours."""
        assert isinstance(settings, FADA.Settings)
        framing = ScaledCrops(crop=(2 * settings.crop, settings.crop))
        return Sampling(framing=framing, jitter=Jitter() if settings.color_jitter else None)

    def inference(self) -> Mode:
        """Whole pictures, at several scales if asked for."""
        return _averaged(self.settings) or super().inference()

    @classmethod
    def test_time_augmentation(cls, settings: BaseSettings) -> str:
        """The scales, and whether pictures are mirrored, too."""
        assert isinstance(settings, FADA.Settings)
        mode = _averaged(settings)
        if mode is None:
            return super().test_time_augmentation(settings)
        scales = ", ".join(f"{scale:g}" for scale in mode.scales)
        return f"scales {scales}" + (", mirrored" if mode.flip else "")


def _averaged(settings: FADA.Settings) -> Averaged | None:
    scales, flip = settings.test_scales, settings.test_flip
    return None if scales == (1.0,) and not flip else Averaged(scales, flip)


def _source(settings: FADA.Settings) -> AlignedTraining.Settings:
    changes = {
        "iterations": settings.source_iterations,
        "schedule_iterations": settings.source_schedule_iterations,
        "batch_size": settings.source_batch_size,
        "learning_rate": settings.learning_rate * settings.rate_factor,
    }
    shared = settings.model_dump(include=set(AlignedTraining.Settings.model_fields))
    return AlignedTraining.Settings.model_validate({**shared, **changes})


def _alignment(settings: FADA.Settings) -> ClassAlignment.Settings:
    return ClassAlignment.Settings.model_validate(
        settings.model_dump(include=set(ClassAlignment.Settings.model_fields))
    )


def _distillation(settings: FADA.Settings) -> FADA.Settings:
    """Settings of the last training under the names that every training reads."""
    return settings.model_copy(
        update={
            "iterations": settings.distillation_iterations,
            "schedule_iterations": settings.distillation_schedule_iterations,
            "batch_size": settings.distillation_batch_size,
            "learning_rate": settings.learning_rate * settings.rate_factor,
            "frozen_norm": settings.distillation_frozen_norm,
            "color_jitter": settings.color_jitter and settings.distillation_color_jitter,
            "resolution": settings.resolution * settings.distillation_resolution,
        }
    )


def _feature_channels(student: Segmentor) -> int:
    """Channels of the feature map that the discriminator sees, the encoder's last one."""
    trained = student.training
    with torch.no_grad():
        channels = int(student.eval().backbone(torch.zeros(1, 3, 64, 64))[-1].shape[1])
    student.train(trained)
    return channels
