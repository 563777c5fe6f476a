"""DAFormer for domain generalization: source images alone, with or without SHADE (Hoyer et al., TPAMI 2024).

Cross entropy and feature distance on the source, whose crops are distorted in colour (`photometric_distortion`); no
teacher and no target. With `style_hallucination`, which is on in the published trainings, every image is also seen
in a hallucinated style (Zhao et al., SHADE, ECCV 2022): the batch is doubled after the first stage of the encoder,
and the predictions on both halves shall agree. ``style_hallucination=false`` is the training without SHADE.

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

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from mmengine.hooks import Hook
from pydantic import Field
from torch import Tensor

from adaptbench.adaptation.style import (
    Style,
    StyleHallucination,
    base_styles,
    collect_styles,
    draw_style_weights,
    style_consistency,
)
from adaptbench.contracts.method import LossGroup, Task
from adaptbench.contracts.profiles import Iterations
from adaptbench.contracts.settings import Settings as BaseSettings
from adaptbench.data.batch import Batch
from adaptbench.data.sampling import Sampling
from adaptbench.data.stream import TrainingStream
from adaptbench.draws import Draws, derive_seed
from adaptbench.errors import UsageError
from adaptbench.networks.mit import MiT
from methods.daformer import SourceStrategies


class Generalization(SourceStrategies):
    """Training on the source alone, with hallucinated styles."""

    uses_target_images = False

    class Settings(SourceStrategies.Settings):
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

    settings: Settings

    def __init__(self, task: Task, settings: Settings) -> None:
        super().__init__(task, settings)
        self.settings = settings
        if settings.style_hallucination:
            encoder = self._encoder()
            encoder.style_hallucination = StyleHallucination(encoder.channels[0])

    @classmethod
    def sampling(cls, settings: BaseSettings) -> Sampling:
        """That of the training strategies, with distorted colours unless they are off."""
        assert isinstance(settings, Generalization.Settings)
        return replace(super().sampling(settings), distortion=settings.photometric_distortion)

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """One group: everything that is learned from the source."""
        yield self.source_loss(batch)

    def source_loss(self, batch: Batch) -> LossGroup:
        """Cross entropy and feature distance; with SHADE on both halves, and their consistency."""
        if not self.settings.style_hallucination:
            return super().source_loss(batch)
        source = batch.source
        label = torch.cat([source.label, source.label])
        with self._hallucination().drawing(self._style_weights(batch.draws)):
            learned = self.learn(source.image, label, None, "source", batch.draws)
        consistency = style_consistency(learned.logits, self.settings.style_consistency_weight)
        return {
            **learned.losses,
            **self.distance_loss(label, learned.views),
            "style.loss_consistency": consistency,
            "logits": learned.logits.detach().mean(),
        }

    def hooks(self) -> list[Hook]:
        """Chooses the base styles anew from time to time."""
        return [BaseStyles(self)] if self.settings.style_hallucination else []

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

    def _encoder(self) -> MiT:
        encoder = self.student.get_submodule("backbone")
        if not isinstance(encoder, MiT):
            raise UsageError(
                f"{self.name}: style_hallucination needs a MiT encoder, not {type(encoder).__name__}. "
                f"Choose a daformer-... network, or --set {self.name}.style_hallucination=false."
            )
        return encoder

    def _hallucination(self) -> StyleHallucination:
        module = self._encoder().style_hallucination
        assert isinstance(module, StyleHallucination)
        return module


class BaseStyles(Hook):  # type: ignore[misc]  # mmengine is untyped
    """Before iteration 0 and then every `style_refresh` iterations: new base styles from all source images."""

    def __init__(self, method: Generalization) -> None:
        self.method = method

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Shows the method crops of all source pictures, in keyed random order."""
        if runner.iter % self.method.settings.style_refresh:
            return
        shuffled = source_crops(runner.stream, runner.iter)
        number = max(len(shuffled.labelled) // shuffled.settings.batch_size, 1)
        device = next(self.method.student.parameters()).device
        images = (shuffled[t].source.image.to(device) for t in range(number))
        self.method.refresh_styles(images, data_batch.draws)


def source_crops(stream: TrainingStream, iteration: int) -> TrainingStream:
    """The source of a training as it is shown there, but every picture once and in a random order of its own."""
    seed = derive_seed(stream.stage_seed, "base styles", iteration)
    plain = replace(stream.sampling, rare=None)
    return TrainingStream(stream.labelled, None, stream.settings, seed, plain, stream.normalisation)


class DAFormerDG(Generalization):
    """DAFormer's network and training strategies on the source alone."""

    name = "daformer_dg"
    title = "DAFormer (DG)"
    paper = "arXiv:2304.13615"
    tags = ("domain-generalization",)
    published: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = {
        ("gta5_dg", "daformer-mit_b5"): {},
    }
    printed: ClassVar[Mapping[str, tuple[str, str, str, str]]] = {
        "daformer-mit_b5": ("DAFormer", "", "MiT-B5", "DAFormer"),
    }
