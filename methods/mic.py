"""MIC: masked image consistency (Hoyer et al., CVPR 2023), on HRDA.

HRDA and one more loss, so that the student learns to use context. `methods/mic_daformer.py` does the same on DAFormer.
A training step (section 3 of the paper):

1. The teacher's weights follow the student's, as an exponential moving average.
2. The host method (HRDA) learns source images, has the teacher label target images, and learns mixed images.
3. Target images are jittered in colour and blurred, by chance (`mask_augment`).
4. Random blocks of them are hidden: a block is shown if its draw from [0, 1] exceeds `mask_ratio`.
5. The pseudo-labels are those that the teacher gave to the whole image, with the weights of the host method.
6. The student learns them from the masked image: cross entropy, weighted by 5 and `mask_weight`.

Quirks of the published behaviour beside those of HRDA, kept as defaults:

- label and weight are those of the host method before mixing, with its margins; there is no second teacher, unless
  `mask_teacher` is ``own``: the published ablations give the masked pass a moving average of its own, with
  `mask_ema_alpha` 0 (the student itself labels) or `mask_threshold` 0 (all labels are fully trusted);
- target images are jittered and blurred by draws of their own before blocks are hidden (`mask_augment`); one order of
  the jitter and one width of the blur serve the whole batch, and the blur is drawn even if `blur` is off;
- hidden pixels are 0 after normalisation, which is the mean colour; all images have their own mask;
- `mask_weight` multiplies the fused loss and not the detail loss.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from torch import Tensor
from typing_extensions import TypeVar

from adaptbench.adaptation.color_jitter import jitter_applies
from adaptbench.adaptation.ema import Teacher
from adaptbench.adaptation.gaussian_blur import blur_applies
from adaptbench.adaptation.masking import block_mask, draw_blocks, mask_image
from adaptbench.adaptation.pseudo_label import PseudoLabel
from adaptbench.adaptation.strong_augment import AugmentDraw, augment, draw_augment
from adaptbench.contracts.method import LossGroup, PublishedSettings
from adaptbench.contracts.profiles import Decay, Length
from adaptbench.contracts.resources import Resources
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch, Images
from methods.dacs import DACS
from methods.hrda import HRDA

S = TypeVar("S", bound="MaskedConsistency.Settings", default=Any)


@dataclass(frozen=True, eq=False)
class MaskDraws:
    """The random part of a masked pass: a number per block of every image, and the augmentation."""

    blocks: Tensor
    augmentation: AugmentDraw


class MaskedConsistency(DACS[S]):
    """What MIC adds to a self-training method."""

    def __init__(self, task: Task, settings: S) -> None:
        super().__init__(task, settings)
        alpha = settings.ema_alpha if settings.mask_ema_alpha is None else settings.mask_ema_alpha
        self.mask_teacher = Teacher(self.student, alpha) if settings.mask_teacher == "own" else None

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """Those of the host method, whose teacher and theirs move first."""
        if self.mask_teacher is not None:
            self.mask_teacher.update(self.student, batch.iteration)  # 1
        yield from super().losses(batch)  # 1 and 2; what follows is in `target_losses`

    def target_losses(self, batch: Batch, target: Images, pseudo: PseudoLabel) -> Iterable[LossGroup]:
        """The losses of the host method, then the loss on masked images."""
        yield from super().target_losses(batch, target, pseudo)  # 2
        image = self.hide_blocks(target.image, self.draw_mask(batch, target.image))  # 3 and 4
        labelled = self.label_masked(target, pseudo)  # 5
        self.observe("masked", image=image, weight=labelled.weight)
        label = labelled.label.unsqueeze(1)
        losses = self.train_pass(image, label, labelled.weight, "masked", batch.draws).losses  # 6
        yield {**losses, "masked.loss_seg": self.settings.mask_weight * losses["masked.loss_seg"]}

    def label_masked(self, target: Images, pseudo: PseudoLabel) -> PseudoLabel:
        """What masked images are to show: the pseudo-labels of the host method, or those of their own teacher."""
        if self.mask_teacher is None:
            return pseudo
        threshold = self.settings.mask_threshold
        if threshold is None:
            threshold = self.settings.pseudo_threshold
        own = self.label_with(self.mask_teacher, target, threshold)
        self.observe("masked", **own._asdict())
        return own

    def draw_mask(self, batch: Batch, image: Tensor) -> MaskDraws:
        """All random decisions of the masked pass."""
        settings, draws = self.settings, batch.draws
        size = (image.shape[-2], image.shape[-1])
        augmentation = AugmentDraw()
        if settings.mask_augment:
            decisions = draws.numpy("masked augmentation decisions").random(2)
            jitter = jitter_applies(decisions[0], settings.jitter_threshold)
            purpose = "masked augmentation"
            augmentation = draw_augment(
                len(image),
                settings.jitter_strength if jitter else None,
                blur_applies(decisions[1]),
                draws.torch(purpose),
                draws.numpy(purpose),
                settings.blur_widths,
            )
        blocks = draw_blocks(len(image), size, settings.mask_block, draws.torch("masked blocks"))
        return MaskDraws(blocks, augmentation)

    def hide_blocks(self, image: Tensor, draws: MaskDraws) -> Tensor:
        """Augmented images of which blocks are 0. Shape: unchanged."""
        mask = block_mask(draws.blocks, self.settings.mask_ratio, (image.shape[-2], image.shape[-1]))
        values = self.normalisation
        augmented = augment(values.swapped(image), draws.augmentation, values.rgb.mean, values.rgb.std)
        return mask_image(values.swapped(augmented), mask)

    class Settings(DACS.Settings):
        """Settings of the masked pass."""

        mask_ratio: float = Field(0.7, ge=0, le=1, description="expected share of hidden blocks")
        mask_block: Length = Field(64, ge=1, description="side of a block in pixels of the crop")
        mask_weight: float = Field(1.0, ge=0, description="factor on the loss of masked images")
        mask_augment: bool = Field(True, description="jitter and blur images before blocks are hidden")
        mask_teacher: Literal["host", "own"] = Field(
            "host", description="who labels masked images: the method's teacher, or one of their own"
        )
        mask_ema_alpha: Decay | None = Field(
            None, ge=0, le=1, description="ema_alpha of their own teacher; none = that of the method"
        )
        mask_threshold: float | None = Field(
            None, ge=0, le=1, description="pseudo_threshold of their own teacher; none = that of the method"
        )

        @field_validator("mask_ema_alpha", "mask_threshold")
        @classmethod
        def _of_their_own_teacher(cls, value: float | None, info: ValidationInfo) -> float | None:
            """A value that nobody reads would leave a user believing in another training than is run."""
            if value is not None and info.data.get("mask_teacher") == "host":
                raise PydanticCustomError("unread", "is read with mask_teacher=own only")
            return value


class MIC(MaskedConsistency["MIC.Settings"], HRDA["MIC.Settings"]):
    """HRDA with masked image consistency."""

    name = "mic"
    title = "MIC"
    paper = "arXiv:2212.01322"
    tags = ("self-training",)

    class Settings(HRDA.Settings, MaskedConsistency.Settings):  # pydantic: the first one's defaults win
        """Settings of HRDA and of the masked pass."""

    published: ClassVar[PublishedSettings] = {("gta5_to_cityscapes", "daformer-mit_b5"): {}}
    resources: ClassVar[Resources] = Resources(memory=24)
