"""DAFormer for domain generalization: source images alone, with or without SHADE (Hoyer et al., TPAMI 2024).

A training step; there is no teacher and no target:

1. Source images are drawn by rare classes, and their colours are distorted (`photometric_distortion`).
2. Base styles, the means and deviations of features, are chosen anew every `style_refresh` iterations.
3. After the first stage of the encoder the batch is doubled by features in a hallucinated style, a random mixture of
   base styles (`style_hallucination`: Zhao et al., SHADE, ECCV 2022).
4. The student learns both halves: cross entropy with the labels of the source.
5. Features of things stay close to those of the ImageNet encoder, in both halves.
6. The predictions on both halves shall agree (style consistency).

``style_hallucination=false`` is the training without SHADE: it leaves out 2, 3 and 6.

Quirks of the published behaviour beside those of DAFormer, kept as defaults:

- styles are mixed from base styles by Dirichlet weights, per image and per pass of the encoder (HRDA passes twice);
- losses are averaged over both halves, batch norm sees both, the feature distance covers both;
- the consistency counts ignored pixels and compares logits at the decoder's resolution (HRDA: the fused ones);
- base styles are as many as the first stage has channels, chosen by farthest point sampling over all source images
  before the first and then every `style_refresh` iterations, with the encoder in evaluation mode, on distorted
  crops in plain order, without rare class sampling. Fewer images than styles (smoke runs) are used more than once;
- every step of the colour distortion drops fractions, and the hue is never shifted up by its full range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar, Self

import torch
from mmengine.hooks import Hook
from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import TypeVar

from adaptbench.adaptation.style import (
    Style,
    StyleHallucination,
    base_styles,
    collect_styles,
    draw_style_weights,
    style_consistency,
)
from adaptbench.contracts.method import LossGroup, Method, PublishedSettings
from adaptbench.contracts.profiles import Iterations
from adaptbench.contracts.resources import Resources
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch
from adaptbench.data.sampling import Sampling
from adaptbench.data.stream import TrainingStream
from adaptbench.data.units import later
from adaptbench.draws import Draws, derive_seed
from adaptbench.errors import UsageError
from adaptbench.networks.inference import Mode
from adaptbench.networks.mit import MiT
from adaptbench.networks.timm_backbone import TimmEncoder
from methods.dacs import PassName, PassOutput
from methods.daformer import StrategySettings, imagenet_distance, pass_with_features

S = TypeVar("S", bound="DAFormerDG.Settings", default=Any)


class DAFormerDG(Method[S]):
    """DAFormer's network and training strategies on the source alone."""

    name = "daformer_dg"
    title = "DAFormer (DG)"
    paper = "arXiv:2304.13615"
    tags = ("domain-generalization",)
    uses_target_images = False

    def __init__(self, task: Task, settings: S) -> None:
        super().__init__(task, settings)
        self.imagenet = imagenet_distance(self, settings)
        if settings.style_hallucination:
            encoder = self._encoder()
            number = settings.base_styles or encoder.channels[0]
            encoder.hallucinate(StyleHallucination(encoder.channels[0], number))

    @classmethod
    def sampling(cls, settings: S) -> Sampling:
        """Rare class sampling and distorted colours, as far as they are on."""
        return Sampling(rare=settings.rare_classes(), distortion=settings.photometric_distortion)  # 1

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """One group: everything that is learned from the source, with or without SHADE."""
        if self.settings.style_hallucination:
            yield self.styled_losses(batch)
        else:
            yield self.source_losses(batch.source.image, batch.source.label, batch.draws)[0]

    def styled_losses(self, batch: Batch) -> LossGroup:
        """What is learned from the source and its twin in another style, and from comparing both."""
        label = torch.cat([batch.source.label, batch.source.label])
        with self._hallucination().drawing(self._style_weights(batch.draws)):  # 3
            losses, logits = self.source_losses(batch.source.image, label, batch.draws)
        consistency = style_consistency(logits, self.settings.style_consistency_weight)  # 6
        return {**losses, "style.loss_consistency": consistency, "logits": logits.detach().mean()}

    def source_losses(self, image: Tensor, label: Tensor, draws: Draws) -> tuple[LossGroup, Tensor]:
        """Cross entropy and feature distance, and the logits."""
        output = self.train_pass(image, label, None, "source", draws)  # 4
        distance = self.imagenet.loss(label, output.views, self.observe) if self.imagenet else {}  # 5
        return {**output.losses, **distance}, output.logits

    def train_pass(
        self, image: Tensor, label: Tensor, weight: Tensor | None, name: PassName, draws: Draws
    ) -> PassOutput:
        """One training pass of the student, with the features it saw."""
        return pass_with_features(self, image, label, weight, name)

    def inference(self) -> Mode:
        """Whole images, or windows as large as crops."""
        return self.settings.inference_mode(self.settings.crop)

    def hooks(self) -> list[Hook]:
        """Chooses the base styles anew from time to time."""
        return [BaseStyles(self)] if self.settings.style_hallucination else []  # 2

    def refresh_styles(self, images: Iterable[Tensor], draws: Draws) -> None:
        """Chooses base styles from those of ``images``: batches ``(B, 3, H, W)`` of the source."""
        self.eval()
        styles = collect_styles(self._encoder().first_stage, images, self.style_scale())
        hallucination = self._hallucination()
        number = len(hallucination.base.mean)
        copies = -(-number // len(styles.mean))
        styles = Style(*(part.repeat(copies, 1) for part in styles))
        start = int(draws.numpy("first base style").integers(len(styles.mean)))
        hallucination.set_base(base_styles(styles, number, start))

    def style_scale(self) -> float:
        """Factor on the images whose styles are collected."""
        return 1.0

    def _style_weights(self, draws: Draws) -> Callable[[int], Tensor]:
        """Draws weights for one encoder pass after the other."""
        generator = draws.numpy("style weights")
        number = len(self._hallucination().base.mean)
        device = next(self.student.parameters()).device

        def draw(batch: int) -> Tensor:
            weights = draw_style_weights(batch, number, self.settings.style_concentration, generator)
            return weights.to(device)

        return draw

    def _encoder(self) -> MiT | TimmEncoder:
        encoder = self.student.get_submodule("backbone")
        if not isinstance(encoder, MiT | TimmEncoder):
            raise UsageError(
                f"{self.name}: style_hallucination needs an encoder of MiT or timm, not {type(encoder).__name__}. "
                f"Choose a daformer-... network, or --set {self.name}.style_hallucination=false."
            )
        return encoder

    def _hallucination(self) -> StyleHallucination:
        module = self._encoder().style_hallucination
        assert isinstance(module, StyleHallucination)
        return module

    class Settings(StrategySettings):
        """Settings of the colour distortion and of SHADE."""

        photometric_distortion: bool = Field(
            True, description="distort brightness, contrast, saturation and hue of source crops"
        )
        style_hallucination: bool = Field(
            True, description="whether images are also seen in hallucinated styles"
        )
        style_consistency_weight: float = Field(
            10.0, ge=0, description="weight of equal predictions in both styles"
        )
        style_concentration: float = Field(
            0.0156, gt=0, description="of the Dirichlet weights; lower = closer to one base style"
        )
        style_refresh: Iterations = Field(
            4000, ge=1, description="iterations between two choices of base styles"
        )
        base_styles: int = later(
            0, ge=0, description="base styles; 0 = as many as the first stage has channels"
        )

        @model_validator(mode="after")
        def _styles_need_training(self) -> Self:
            if self.style_hallucination and self.adapter == "frozen":
                raise ValueError(
                    "style_hallucination restyles features of an encoder in training, and adapter=frozen keeps it as "
                    "in a test; set style_hallucination=false"
                )
            return self

    published: ClassVar[PublishedSettings] = {("gta5_dg", "daformer-mit_b5"): {}}
    resources: ClassVar[Resources] = Resources(memory=24)


class BaseStyles(Hook):  # type: ignore[misc]  # mmengine is untyped
    """Before iteration 0 and then every `style_refresh` iterations: new base styles from all source images."""

    def __init__(self, method: DAFormerDG) -> None:
        self.method = method

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Shows the method crops of all source images, in keyed random order."""
        if runner.iter % self.method.settings.style_refresh:
            return
        shuffled = source_crops(runner.stream, runner.iter)
        number = max(len(shuffled.labelled) // shuffled.settings.batch_size, 1)
        device = next(self.method.student.parameters()).device
        images = (shuffled[t].source.image.to(device) for t in range(number))
        self.method.refresh_styles(images, data_batch.draws)


def source_crops(stream: TrainingStream, iteration: int) -> TrainingStream:
    """The source of a training as it is shown there, but every image once and in a random order of its own."""
    seed = derive_seed(stream.stage_seed, "base styles", iteration)
    plain = replace(stream.sampling, rare=None)
    return TrainingStream(stream.labelled, None, stream.settings, seed, plain, stream.normalisation)
