"""DACS: domain adaptation via cross-domain mixed sampling (Tranheden et al., WACV 2021).

A training step (section 3, algorithm 1 of the paper):

1. The teacher's weights follow the student's, as an exponential moving average.
2. The student learns source images: cross entropy with their labels.
3. The teacher labels target images; the share of pixels that it is sure of says how far its labels are trusted.
4. Half of the classes of every source image are drawn.
5. Pixels of these classes are pasted onto a target image, and their labels onto its pseudo-label (ClassMix).
6. The mixed image is jittered in colour and blurred, by chance.
7. The student learns the mixed images: cross entropy, weighted by 3 where the target shows.

The settings are those of the re-run with ImageNet weights in the HRDA framework (ECCV 2022, Table 2: 53.9 mIoU
on GTA5 to Cityscapes, cityscapes19, val; mean of 3 seeds). The original release trains 250,000 iterations with
SGD from COCO weights and keeps the checkpoint that is best on target labels.

Quirks of the published behaviour, kept as defaults:

- the confidence share is one number for the whole batch and weighs every pseudo-labelled pixel;
- classes to paste are drawn from all label values of the batch, ignore (255) included, so that a drawn
  class may be absent from a sample and ignored source pixels may be pasted;
- colour jitter is applied when its draw is GREATER than ``jitter_threshold``: 0.2 means four times in five;
- the teacher's batch norm runs on batch statistics while it labels, and only its parameters are averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from torch import Tensor, nn
from typing_extensions import TypeVar

from adaptbench.adaptation.class_mix import Mixed, class_mix, draw_classes
from adaptbench.adaptation.color_jitter import jitter_applies
from adaptbench.adaptation.ema import Teacher
from adaptbench.adaptation.gaussian_blur import SIGMA_RANGE, blur_applies
from adaptbench.adaptation.pseudo_label import PseudoLabel, pseudo_label, restrict
from adaptbench.adaptation.seg_loss import resize_logits
from adaptbench.adaptation.strong_augment import AugmentDraw, draw_augment, strong_augment
from adaptbench.contracts.method import LossGroup, Method, PublishedSettings
from adaptbench.contracts.profiles import BlurWidth, Decay, Length
from adaptbench.contracts.settings import Settings as BaseSettings
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch, Images
from adaptbench.data.units import later
from adaptbench.draws import Draws

#: Training passes of the student in one iteration; they draw apart and are logged under their own prefix.
PassName: TypeAlias = Literal["source", "mixed", "masked", "target"]
PREFIXES: Mapping[PassName, str] = {"source": "", "mixed": "mix.", "masked": "masked.", "target": "target."}

Region: TypeAlias = tuple[slice, slice]
WHOLE: Region = (slice(None), slice(None))

S = TypeVar("S", bound="DACS.Settings", default=Any)


class EncoderView(NamedTuple):
    """What the student's encoder saw in a training pass, and what it made of it.

    Attributes:
        image: network input ``(B, 3, h, w)``: the image, or one of its scales.
        features: feature maps, fine to coarse, with their graph.
        region: rows and columns of the label that it shows.
    """

    image: Tensor
    features: Sequence[Tensor]
    region: Region = WHOLE


class PassOutput(NamedTuple):
    """Result of a training pass.

    Attributes:
        losses: named losses.
        logits: of the whole image, ``(B, C, h, w)`` at the decoder's stride, with their graph.
        views: what the encoder saw, for methods that compare its features.
    """

    losses: dict[str, Tensor]
    logits: Tensor
    views: tuple[EncoderView, ...] = ()


@dataclass(frozen=True)
class MixDraws:
    """The random part of one mixing: classes to paste and augmentation, per sample."""

    classes: list[npt.NDArray[np.int64]]
    augmentations: list[AugmentDraw]


class DACS(Method[S]):
    """Self-training on target images into which source classes are pasted."""

    name = "dacs"
    title = "DACS"
    paper = "arXiv:2007.08702"
    tags = ("self-training",)

    def __init__(self, task: Task, settings: S) -> None:
        super().__init__(task, settings)
        self.teacher = Teacher(self.student, settings.ema_alpha)

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """Source loss, then the loss on mixed images."""
        assert batch.target is not None
        self.teacher.update(self.student, batch.iteration)  # 1
        yield self.source_loss(batch)  # 2
        pseudo = self.label_target(batch.target)  # 3
        yield from self.target_losses(batch, batch.target, pseudo)  # 4 to 7

    def source_loss(self, batch: Batch) -> LossGroup:
        """Everything that is learned from the source."""
        return self.train_pass(batch.source.image, batch.source.label, None, "source", batch.draws).losses

    def target_losses(self, batch: Batch, target: Images, pseudo: PseudoLabel) -> Iterable[LossGroup]:
        """Everything that is learned from the pseudo-labelled target."""
        self.observe("pseudo", **pseudo._asdict())
        mixed = self.mix(batch, target, pseudo, self.draw_mix(batch))  # 4 to 6
        self.observe("mixed", **mixed._asdict())
        output = self.train_pass(mixed.image, mixed.label, mixed.weight, "mixed", batch.draws)  # 7
        shares = {"mix.confidence": pseudo.weight.mean(), "mix.pasted": mixed.mask.float().mean()}
        yield {**output.losses, **shares}

    def train_pass(
        self, image: Tensor, label: Tensor, weight: Tensor | None, name: PassName, draws: Draws
    ) -> PassOutput:
        """One training pass of the student.

        Shape: image ``(B, 3, H, W)``, label ``(B, 1, H, W)`` with 255 = ignore, weight ``(B, H, W)`` or None.
        """
        logits = self.student(image)
        return PassOutput(self.segmentation_loss(logits, label, weight, PREFIXES[name]), logits)

    def label_target(self, target: Images) -> PseudoLabel:
        """The teacher's labels of the clean target crops."""
        return self.label_with(self.teacher, target, self.settings.pseudo_threshold)

    def label_with(self, teacher: Teacher, target: Images, threshold: float) -> PseudoLabel:
        """The labels that a teacher gives to the clean target crops, and how far they are trusted."""
        size = (target.image.shape[-2], target.image.shape[-1])
        pseudo = pseudo_label(resize_logits(teacher(target.image), size), threshold)
        return pseudo._replace(weight=self.trusted_part(pseudo.weight, target))

    def trusted_part(self, weight: Tensor, target: Images) -> Tensor:
        """The weight without the rows that have none. Shape: ``(B, H, W)``."""
        return restrict(weight, None, self.settings.pseudo_ignore_top, self.settings.pseudo_ignore_bottom)

    def draw_mix(self, batch: Batch) -> MixDraws:
        """All random decisions of the mixing; the decisions to jitter and blur hold for the whole batch."""
        draws = batch.draws
        decisions = draws.numpy("augmentation decisions").random(2)
        jitter = jitter_applies(decisions[0], self.settings.jitter_threshold)
        blur = self.settings.blur and blur_applies(decisions[1])
        samples = range(len(batch.source.names))
        return MixDraws(
            classes=draw_classes(batch.source.on_cpu.label, draws.numpy("mixed classes")),  # 4
            augmentations=[self._draw_augment(draws, f"augmentation {i}", jitter, blur) for i in samples],
        )

    def _draw_augment(self, draws: Draws, purpose: str, jitter: bool, blur: bool) -> AugmentDraw:
        strength = self.settings.jitter_strength if jitter else None
        generators = draws.torch(purpose), draws.numpy(purpose)
        return draw_augment(1, strength, blur, *generators, self.settings.blur_widths)

    def mix(self, batch: Batch, target: Images, pseudo: PseudoLabel, draws: MixDraws) -> Mixed:
        """Target images with source classes pasted in and strong augmentation, their labels and weights."""
        source = batch.source
        mixed = class_mix(
            source.image, source.label, target.image, pseudo.label, pseudo.weight, draws.classes
        )  # 5
        return mixed._replace(image=self.augment(mixed.image, draws.augmentations))  # 6

    def augment(self, image: Tensor, draws: Sequence[AugmentDraw]) -> Tensor:
        """The images with a strong augmentation each. Shape: ``(B, 3, H, W)``, unchanged."""
        values = self.normalisation
        rgb = strong_augment(values.swapped(image), draws, values.rgb.mean, values.rgb.std)
        return values.swapped(rgb)

    def other_network(self) -> nn.Module:
        """The teacher."""
        return self.teacher.network

    class Settings(BaseSettings):
        """Settings of the self-training."""

        ema_alpha: Decay = Field(0.99, ge=0, le=1, description="largest share of the old teacher")
        pseudo_threshold: float = Field(0.968, ge=0, le=1, description="probability that counts as confident")
        jitter_threshold: float = Field(
            0.2, ge=0, le=1, description="jitter if a draw from [0, 1] is greater"
        )
        jitter_strength: float = Field(
            0.2, ge=0, description="range of brightness, contrast, saturation, hue"
        )
        blur: bool = Field(True, description="blur every other iteration's mixed images")
        blur_widths: tuple[BlurWidth, BlurWidth] = later(
            SIGMA_RANGE,
            description="narrowest and widest blur, above 0 and in this order, in pixels of the crop",
        )
        pseudo_ignore_top: Length = later(
            0, ge=0, description="rows without weight at the top of target crops"
        )
        pseudo_ignore_bottom: Length = later(
            0, ge=0, description="rows without weight at the bottom of target crops"
        )

        @field_validator("blur_widths")
        @classmethod
        def _from_narrow_to_wide(cls, widths: tuple[float, float]) -> tuple[float, float]:
            if not 0 < widths[0] <= widths[1]:
                raise PydanticCustomError("widths", "should be two widths above 0, the narrower one first")
            return widths

    #: The defaults of `Settings` are the published ones.
    published: ClassVar[PublishedSettings] = {("gta5_to_cityscapes", "deeplabv2-r101"): {}}
