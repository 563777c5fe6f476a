"""PixMatch: predictions on the target shall not change when the image does (Melas-Kyriazi and Manrai, CVPR 2021).

It goes on from a network trained on the source (`methods/pixmatch_source.py`). A training step (section 3):

1. The student learns source images: cross entropy.
2. It labels whole target images; it learns to predict these labels for perturbed images, which are:
3. a recoloured part of the image (augmentation);
4. the image in the style of the source (Fourier mix, if its weight is not 0);
5. the image with a box of the source in it, or the other way round (CutMix, if its weight is not 0).
6. A running average follows the student; it is what is scored.

The release scores val at 1280x640 and keeps the checkpoint that is best on target labels; here the last iterate is
scored at the size of the label files.

Quirks that are defaults:

- all passes, those that label among them, are in training mode and move the running statistics;
- the running average starts from the start weights, not from the network trained on the source (`average_start`);
- its running statistics are those of the student at the end, and in snapshots, as at the end of each of the release's
  epochs, where it is validated;
- the auxiliary output learns labels of another part of the image than the one it sees (`aux_crop`);
- images lose up to one grey level when they are cropped (`grey_levels`);
- of Fourier mix only the left half of the spectrum reaches the image (`fourier_corners`).

Where its numbers are claimed, most tensors of the encoder are updated three or four times per step
(`parameter_listing` ``repeated-current``; ``once`` elsewhere).

Differences: how the source network of the release was trained is not stated; here it is trained with the same settings
and for as many iterations, two images each (`source_iterations`, `source_batch_size`). `average_span` is a number of
iterations, so that it shrinks with the training in small profiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from adaptbench.adaptation.cut_mix import CutDraw, LabelledBatch, cut_mix, draw_cut
from adaptbench.adaptation.fourier_mix import Corners, fourier_mix
from adaptbench.adaptation.hard_label import hard_label, mean_hard_label
from adaptbench.adaptation.running_average import RunningAverage
from adaptbench.adaptation.seg_loss import labelled_cross_entropy
from adaptbench.contracts.method import LossGroup, Optimizers, PublishedSettings, Stage
from adaptbench.contracts.profiles import Decay, ImageCount, Iterations, Length
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch
from adaptbench.data.crop_views import GreyLevels, ViewDraw, Views, draw_view, labels_in_view, views
from adaptbench.data.units import later
from adaptbench.draws import Draws
from adaptbench.networks.pretrained.consistency import STUDENT_AND_SHADOW
from methods.minent import log_name
from methods.pixmatch_source import Predictions, WholeSource

S = TypeVar("S", bound="Consistency.Settings", default=Any)


class Consistency(WholeSource[S]):
    """Starts from a network trained on the source and labels whole target images; its running average is scored."""

    uses_target_images = True
    scored_weights = "running average"
    published_files = STUDENT_AND_SHADOW

    def __init__(self, task: Task, settings: S) -> None:
        super().__init__(task, settings)
        decay = settings.average_decay
        span = settings.average_span if decay is None else 1 / (1 - decay)
        self.average = RunningAverage(self.student, span)

    @classmethod
    def stages(cls, settings: S) -> list[Stage]:
        """The source, then the adaptation."""
        changes = {"batch_size": settings.source_batch_size}
        if settings.source_iterations is not None:
            changes["iterations"] = settings.source_iterations
        first = WholeSource.Settings.taken_from(settings, **changes)
        return [Stage("source", WholeSource, first), Stage("adapt", cls, settings, start=0)]

    def train_step(self, batch: Batch, optimizers: Optimizers) -> dict[str, Tensor]:
        """One iteration, after which the running average follows."""
        if batch.iteration == 0 and self.settings.average_start == "source":
            self.average.network.load_state_dict(self.student.state_dict())
        log = super().train_step(batch, optimizers)
        self.average.follow(self.student)  # 6
        return log

    def finish(self) -> None:
        """The running average takes over the student's running statistics: the whole training counts as one epoch."""
        self.average.copy_statistics(self.student)

    def scored_network(self) -> torch.nn.Module:
        """The running average of the student."""
        return self.average.network

    def other_network(self) -> torch.nn.Module:
        """The student."""
        return self.student

    def draw_views(self, draws: Draws, purpose: str, image: Tensor) -> list[ViewDraw]:
        """Draws what the two views of each image show. Shape: ``(B, 3, H, W)``."""
        size, smallest = (image.shape[-2], image.shape[-1]), self.settings.smallest_crop
        return [draw_view(size, smallest, draws.numpy(f"{purpose} {i}")) for i in range(len(image))]

    def crop(self, image: Tensor, label: Tensor, draws: list[ViewDraw]) -> tuple[Views, Tensor]:
        """Both views of each image, and the label of the part they show."""
        size = self.view_size()
        both = views(image, draws, size, self.normalisation, self.settings.grey_levels)
        return both, labels_in_view(label, draws, size)

    def view_size(self) -> tuple[int, int]:
        """Height and width of the views."""
        return self.settings.crop, self.settings.view_width or self.settings.crop

    def consistency(
        self, predictions: Predictions, label: Tensor, aux_label: Tensor, key: str, weight: float
    ) -> dict[str, Tensor]:
        """The weighted cross entropy of both outputs, each with labels of its own."""
        labels = {"main": label, "aux": aux_label}
        weights = {"main": weight, "aux": weight * self.settings.segmentation_weight_aux}
        return {
            log_name(output, key): weights[output] * labelled_cross_entropy(logits, labels[output])
            for output, logits in predictions.outputs().items()
        }

    def aux_label(self, predictions: Predictions) -> Tensor:
        """Labels of the auxiliary output: by the mean of both outputs. Shape: int64 ``(B, 1, H, W)``."""
        threshold = self.settings.pseudo_threshold
        if predictions.aux is None:
            return hard_label(predictions.main, threshold)
        return mean_hard_label(predictions.main, predictions.aux, threshold)

    class Settings(WholeSource.Settings):
        """Settings of both trainings; those with the prefix are the first one's."""

        source_iterations: Iterations | None = Field(
            None, ge=0, description="iterations of the source training; none = as many as of the adaptation"
        )
        source_batch_size: ImageCount = Field(
            2, ge=1, description="images per iteration of the source training"
        )
        average_span: Iterations = Field(
            1000, ge=1, description="iterations that the running average spans, 1 / (1 - decay)"
        )
        average_decay: Decay | None = later(
            None, ge=0, lt=1, description="share of the old running average; none = 1 - 1 / average_span"
        )
        average_start: Literal["start-weights", "source"] = Field(
            "start-weights", description="what the running average begins with"
        )
        pseudo_threshold: float = Field(
            0.0, ge=0, le=1, description="probability that a pseudo-label has to exceed"
        )
        view_width: Length | None = later(
            None, ge=8, description="width of views, crop is then their height; none = they are square"
        )
        smallest_crop: float = Field(
            0.2, gt=0, le=1, description="smallest share of an image's area that a view shows"
        )
        grey_levels: GreyLevels = Field(
            "truncated", description="how values become grey levels before a crop: truncated or rounded"
        )


#: What the original release does beside the defaults below.
ORIGINAL: Mapping[str, Any] = {"parameter_listing": "repeated-current"}


class PixMatch(Consistency["PixMatch.Settings"]):
    """Predictions on perturbed target images are made to agree with those on the images as they are."""

    name = "pixmatch"
    title = "PixMatch"
    paper = "arXiv:2105.08128"
    tags = ("self-training", "consistency")

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """Source loss, then the loss on every perturbation of the target."""
        assert batch.target is not None
        yield self.source_pass(batch)[0]  # 1
        with torch.no_grad():
            predictions = self.predict_all(batch.target.image)
        label = hard_label(predictions.main, self.settings.pseudo_threshold)  # 2
        aux_label = self.aux_label(predictions)
        if self.settings.augmentation_weight > 0:
            yield self.augmentation_loss(batch, label, aux_label)  # 3
        if self.settings.fourier_weight > 0:
            yield self.fourier_loss(batch, label, aux_label)  # 4
        if self.settings.cutmix_weight > 0:
            yield self.cutmix_loss(batch, label)  # 5

    def augmentation_loss(self, batch: Batch, label: Tensor, aux_label: Tensor) -> LossGroup:
        """The loss on recoloured parts."""
        assert batch.target is not None
        draws = self.draw_views(batch.draws, "views", batch.target.image)
        both, main = self.crop(batch.target.image, label, draws)
        if self.settings.aux_crop == "other":
            draws = self.draw_views(batch.draws, "views of other labels", batch.target.image)
        aux = labels_in_view(aux_label, draws, self.view_size())
        self.observe("augmented", image=both.strong, label=main)
        predictions = self.predict_all(both.strong)
        return self.consistency(
            predictions, main, aux, "augmented.loss_seg", self.settings.augmentation_weight
        )

    def fourier_loss(self, batch: Batch, label: Tensor, aux_label: Tensor) -> LossGroup:
        """The loss on images in the style of the source."""
        assert batch.target is not None
        beta, corners = self.settings.fourier_beta, self.settings.fourier_corners
        image = fourier_mix(batch.target.image, batch.source.image, beta, corners)
        self.observe("restyled", image=image)
        return self.consistency(
            self.predict_all(image), label, aux_label, "restyled.loss_seg", self.settings.fourier_weight
        )

    def cutmix_loss(self, batch: Batch, label: Tensor) -> LossGroup:
        """The loss on images of both domains; both outputs learn the labels of the main one."""
        assert batch.target is not None
        target, source = batch.target.image, batch.source
        draw = self.draw_cut(batch)
        mixed = cut_mix(LabelledBatch(target, label), LabelledBatch(source.image, source.label), draw)
        self.observe("cut", **mixed._asdict())
        predictions, weight = self.predict_all(mixed.image), self.settings.cutmix_weight
        return self.consistency(predictions, mixed.label, mixed.label, "cut.loss_seg", weight)

    def draw_cut(self, batch: Batch) -> CutDraw:
        """Draws the box, for images of the size of the source."""
        image = batch.source.image
        return draw_cut((image.shape[-2], image.shape[-1]), batch.draws.numpy("cut"))

    class Settings(Consistency.Settings):
        """Weights of the perturbations; a weight of 0 switches one off."""

        iterations: Iterations = Field(40_000, ge=0, description="iterations of the adaptation")
        batch_size: ImageCount = Field(1, ge=1, description="images per domain and iteration")
        learning_rate: float = Field(1e-4, gt=0, description="of the encoder, at its highest")
        augmentation_weight: float = Field(0.1, ge=0, description="weight of recoloured parts")
        fourier_weight: float = Field(0.0, ge=0, description="weight of images in the style of the source")
        cutmix_weight: float = Field(0.0, ge=0, description="weight of images with a box of the source")
        fourier_beta: float = Field(
            0.01, ge=0, le=0.5, description="share of the spectrum's shorter side that Fourier mix exchanges"
        )
        fourier_corners: Corners = Field(
            "left", description="corners of the spectrum that reach the image: left, all or half"
        )
        aux_crop: Literal["other", "same"] = Field(
            "other", description="part of the image whose labels the auxiliary output learns"
        )

    published: ClassVar[PublishedSettings] = {("gta5_to_cityscapes", "deeplabv2-pixmatch-r101"): ORIGINAL}
