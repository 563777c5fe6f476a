"""VFM-UDA: adaptation of a vision foundation model (Englert et al., CVPR workshops 2024).

Self-training on mixed and on masked images with DINOv2 and a light decoder. A training step (section 3 of the paper):

1. The student learns source images, as in `methods/vfm_uda_source.py`.
2. The teacher labels target images: probabilities of the image and of its mirror image are averaged, and the share of
   pixels that it is sure of is the weight.
3. Pseudo-labels at the borders of target images carry no weight.
4. Half of the classes of the source are pasted onto target images, whose colours are jittered before; the mixed images
   are jittered again, and blurred by chance.
5. The student learns the mixed images: weighted cross entropy.
6. Target images are jittered and blurred anew, and tokens of them are hidden: where a draw from [0, 1] is below
   `token_mask_ratio`.
7. The student learns the pseudo-labels from what is left: cross entropy with the weight of 3.
8. The teacher's weights follow the student's at the end of the step.

Quirks of the published behaviour beside those of the baseline, kept as defaults:

- source images are pasted without their jitter;
- the mask of the borders is not mirrored with its image (`margins_mirrored`), so that the wrong border may count;
- classes to paste are drawn from all label values of the batch, ignore (255) included;
- the teacher is never a copy of the student: the first update is half of each;
- mixed and masked losses are averaged over all pixels, ignored ones included, the source loss over labelled ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import TypeVar

from adaptbench.adaptation.class_mix import Mixed, class_mix, draw_classes
from adaptbench.adaptation.color_jitter import JitterStrength
from adaptbench.adaptation.ema import Teacher
from adaptbench.adaptation.gaussian_blur import SIGMA_RANGE
from adaptbench.adaptation.pseudo_label import PseudoLabel, likeliest, restrict
from adaptbench.adaptation.seg_loss import resize_logits
from adaptbench.adaptation.view_augment import View, ViewKind, viewed
from adaptbench.contracts.method import LossGroup, Optimizers
from adaptbench.contracts.profiles import BlurWidth, Decay, Length
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch, Images
from adaptbench.data.pseudo_margins import Margins
from adaptbench.data.sampling import Sampling
from adaptbench.errors import UsageError
from adaptbench.networks.plain_vit import PlainViT
from methods.vfm_uda_source import WEAK, VFMUDASource

S = TypeVar("S", bound="VFMUDA.Settings", default=Any)


@dataclass(frozen=True, eq=False)
class StepDraws:
    """The random part of a step.

    Attributes:
        source: views of source images.
        classes: to paste, for every image.
        target: views of target images before they are mixed.
        mixed: views of mixed images.
        masked: views of target images whose tokens are hidden.
        tokens: a number in [0, 1) for every token of every target image, ``(B, tokens)``; None = none is hidden.
    """

    source: list[View]
    classes: list[npt.NDArray[np.int64]]
    target: list[View]
    mixed: list[View]
    masked: list[View]
    tokens: Tensor | None


class VFMUDA(VFMUDASource[S]):
    """Self-training of a foundation model on mixed and masked images."""

    name = "vfm_uda"
    title = "VFM-UDA"
    paper = "arXiv:2406.09896"
    tags = ("self-training",)
    uses_target_images = True
    #: Whether the teacher sees every image mirrored, too.
    mirrors: ClassVar[bool] = True

    def __init__(self, task: Task, settings: S) -> None:
        super().__init__(task, settings)
        self.teacher = Teacher(self.student, settings.ema_alpha)
        if settings.token_mask_ratio > 0:
            self.encoder()

    @classmethod
    def sampling(cls, settings: S) -> Sampling:
        """That of the source training, and margins of target images."""
        sides = (settings.margin_top, settings.margin_bottom, settings.margin_left, settings.margin_right)
        return replace(
            super().sampling(settings),
            margins=Margins(*sides) if any(sides) else None,  # 3
            margins_mirrored=settings.margins_mirrored,
        )

    def train_step(self, batch: Batch, optimizers: Optimizers) -> dict[str, Tensor]:
        """One iteration, at the end of which the teacher follows."""
        log = super().train_step(batch, optimizers)
        self.teacher.follow(self.student, batch.iteration)  # 8
        return log

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """Source loss, then the losses on mixed and on masked images."""
        assert batch.target is not None
        draws = self.draw_step(batch)
        pseudo = self.label_target(batch.target)
        self.observe("pseudo", **pseudo._asdict())
        yield self.source_loss(batch, draws.source)  # 1
        yield self.mixed_loss(self.mix(batch, batch.target, pseudo, draws), pseudo)  # 5
        if draws.tokens is not None:
            yield self.masked_loss(batch.target, pseudo, draws.masked, draws.tokens)  # 7

    def draw_step(self, batch: Batch) -> StepDraws:
        """All random decisions of a step."""
        draws, number, settings = batch.draws, len(batch.source.names), self.settings
        strong = ViewKind(
            JitterStrength.uniform(settings.jitter_strength),
            settings.jitter_share,
            settings.blur_share,
            settings.blur_widths,
        )
        tokens = None
        if settings.token_mask_ratio > 0:
            assert batch.target is not None
            tokens = self._draw_tokens(batch.target.image, draws.torch("masked tokens"))
        return StepDraws(
            source=self.draw_views(draws, "weak source", WEAK, number),
            classes=draw_classes(batch.source.on_cpu.label, draws.numpy("mixed classes")),
            target=self.draw_views(draws, "weak target", WEAK, number),
            mixed=self.draw_views(draws, "strong mixed", strong, number),
            masked=self.draw_views(draws, "strong masked", strong, number),
            tokens=tokens,
        )

    def _draw_tokens(self, image: Tensor, generator: torch.Generator) -> Tensor:
        rows, columns = self.encoder().grid((image.shape[-2], image.shape[-1]))
        return torch.rand(len(image), rows * columns, generator=generator)

    def label_target(self, target: Images) -> PseudoLabel:
        """The teacher's labels of the clean target crops, and how far they are trusted."""
        plain = self._probability(target.image)
        probability = (plain + self._probability(target.image.flip(3)).flip(3)) / 2 if self.mirrors else plain
        pseudo = likeliest(probability, self.settings.pseudo_threshold)  # 2
        return pseudo._replace(weight=restrict(pseudo.weight, target.trusted, padding="zero"))  # 3

    def _probability(self, image: Tensor) -> Tensor:
        """What the teacher makes of images. Shape: ``(B, 3, H, W)`` to ``(B, C, H, W)``."""
        return resize_logits(self.teacher(image), (image.shape[-2], image.shape[-1])).float().softmax(dim=1)

    def mix(self, batch: Batch, target: Images, pseudo: PseudoLabel, draws: StepDraws) -> Mixed:
        """Jittered target images with source classes pasted in, jittered and blurred, their labels and weights."""
        jittered = viewed(target.image, draws.target, self.normalisation)
        mixed = class_mix(
            batch.source.image, batch.source.label, jittered, pseudo.label, pseudo.weight, draws.classes
        )
        ignored = (mixed.label == 255).squeeze(1)
        mixed = mixed._replace(
            image=viewed(mixed.image, draws.mixed, self.normalisation, self.settings.crop),
            weight=mixed.weight.masked_fill(ignored, 0),
        )  # 4
        self.observe("mixed", **mixed._asdict())
        return mixed

    def mixed_loss(self, mixed: Mixed, pseudo: PseudoLabel) -> LossGroup:
        """Weighted cross entropy of the mixed images, and how much of them the teacher is sure of."""
        losses = self.segmentation_loss(self.student(mixed.image), mixed.label, mixed.weight, "mix.")
        shares = {"mix.confidence": pseudo.weight.mean(), "mix.pasted": mixed.mask.float().mean()}
        return {**losses, **shares}

    def masked_loss(
        self, target: Images, pseudo: PseudoLabel, views: list[View], tokens: Tensor
    ) -> LossGroup:
        """Weighted cross entropy of target images of which tokens are hidden."""
        image = viewed(target.image, views, self.normalisation, self.settings.crop)
        hidden = (tokens < self.settings.token_mask_ratio).to(image.device)  # 6
        self.observe("masked", image=image, weight=pseudo.weight)
        logits = self.student.get_submodule("decode_head")(self.encoder()(image, hidden))
        return self.segmentation_loss(logits, pseudo.label.unsqueeze(1), pseudo.weight, "masked.")

    def other_network(self) -> nn.Module:
        """The teacher."""
        return self.teacher.network

    def encoder(self) -> PlainViT:
        """The student's encoder.

        Raises:
            UsageError: it has no tokens that can be hidden.
        """
        encoder = self.student.get_submodule("backbone")
        if not isinstance(encoder, PlainViT) or encoder.mask_token is None:
            raise UsageError(
                f"{self.name} hides or compares tokens of a plain vision transformer, which {self.settings.network} is "
                "not. Use a network vfm_uda-..., or --method vfm_uda with --set token_mask_ratio=0."
            )
        return encoder

    class Settings(VFMUDASource.Settings):
        """Settings of the self-training."""

        ema_alpha: Decay = Field(0.999, ge=0, le=1, description="largest share of the old teacher")
        pseudo_threshold: float = Field(0.968, ge=0, le=1, description="probability that counts as confident")
        token_mask_ratio: float = Field(
            0.7, ge=0, le=1, description="expected share of hidden tokens; 0 = no pass on masked images"
        )
        jitter_strength: float = Field(
            0.2, ge=0, le=0.5, description="range of brightness, contrast, saturation, hue"
        )
        jitter_share: float = Field(
            0.8, ge=0, le=1, description="share of mixed and masked images that are jittered"
        )
        blur_share: float = Field(0.5, ge=0, le=1, description="share of them that are blurred")
        blur_widths: tuple[BlurWidth, BlurWidth] = Field(
            SIGMA_RANGE,
            description="narrowest and widest blur, above 0 and in this order, in pixels of the crop",
        )
        margin_top: Length = Field(30, ge=0, description="without weight, in pixels of the target image file")
        margin_bottom: Length = Field(
            256, ge=0, description="without weight, in pixels of the target image file"
        )
        margin_left: Length = Field(
            61, ge=0, description="without weight, in pixels of the target image file"
        )
        margin_right: Length = Field(
            61, ge=0, description="without weight, in pixels of the target image file"
        )
        margins_mirrored: bool = Field(False, description="whether the margins are mirrored with their image")
