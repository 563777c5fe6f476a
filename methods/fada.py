"""FADA: fine-grained adversarial adaptation (Wang et al., Classes Matter, ECCV 2020).

The stages, and a step of the last one (self-distillation):

1. A network learns the source (`methods/fada_source.py`).
2. It goes on with class-level adversarial alignment of its features (`methods/fada_alignment.py`).
3. It labels the target's training images: the likeliest class of every pixel.
4. A new network starts from ImageNet weights; it sees crops of target images at random scales, with jittered colours.
5. It learns these labels: cross entropy, logits resized with aligned corners.
6. It is tested with whole images, at several scales if asked for (`test_scales`).

Published: 49.2 mIoU on GTA5 to Cityscapes, cityscapes19, val, with the checkpoint that is best on target labels (50.1
with tests at several scales, `test_scales`, which have a board of their own). Ours scores the last iterate.

Quirks that are defaults, beside those of `methods/fada_source.py` and `methods/fada_alignment.py`:

- batch norms of the encoder are not frozen in the last training, unless `distillation_frozen_norm` says so, as the
  release does from SYNTHIA;
- pseudo-labels are single-scale predictions without threshold; the last network is tested with images of twice the
  size (`distillation_resolution`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from adaptbench.contracts.labelling import Labeller
from adaptbench.contracts.method import PublishedSettings, Stage
from adaptbench.contracts.profiles import ImageCount, Iterations
from adaptbench.contracts.task import Task
from adaptbench.data.framing import ScaledCrops
from adaptbench.data.image_jitter import Jitter
from adaptbench.data.sampling import Sampling
from adaptbench.networks.inference import Averaged, Mode
from methods.fada_alignment import ORIGINAL, FADAAlignment
from methods.fada_source import FADASource

_ORIGINAL: Mapping[str, Any] = {**ORIGINAL, "distillation_schedule_iterations": 31_250}


class FADA(FADASource["FADA.Settings"]):
    """Learns the target from the labels that an aligned network predicts for it."""

    name = "fada"
    title = "FADA"
    paper = "arXiv:2007.09222"
    version = 2
    tags = ("adversarial", "self-training")
    uses_target_images = False

    @classmethod
    def skip(cls, task: Task) -> str | None:
        """Its last training sees the target as labelled images."""
        return FADAAlignment.skip(task)

    @classmethod
    def stages(cls, settings: FADA.Settings) -> list[Stage]:
        """Source, alignment, labels of the target, self-distillation from the start weights."""
        alignment = FADAAlignment.Settings.taken_from(settings)
        return [
            *FADAAlignment.stages(alignment),  # 1 and 2
            Stage("pseudo-labels", FADAAlignment, alignment, start=1, labeller=Labeller("file")),  # 3
            Stage(
                "self-distillation", cls, _distillation(settings), labels=2
            ),  # 4 and 5: `FADASource.losses`
        ]

    @classmethod
    def sampling(cls, settings: FADA.Settings) -> Sampling:
        """Mirrored crops of images at random scales, twice as wide as high, with jittered colours."""
        framing = ScaledCrops(crop=(2 * settings.crop, settings.crop))  # 4
        return Sampling(framing=framing, jitter=Jitter() if settings.color_jitter else None)

    def inference(self) -> Mode:
        """Whole images, at several scales if asked for."""
        return _averaged(self.settings) or super().inference()  # 6

    @classmethod
    def test_time_augmentation(cls, settings: FADA.Settings) -> str:
        """The scales, and whether images are mirrored, too."""
        mode = _averaged(settings)
        if mode is None:
            return super().test_time_augmentation(settings)
        scales = ", ".join(f"{scale:g}" for scale in mode.scales)
        return f"scales {scales}" + (", mirrored" if mode.flip else "")

    class Settings(FADAAlignment.Settings):
        """Settings of all three trainings; those without prefix are the alignment's."""

        distillation_iterations: Iterations = Field(
            20_000, ge=0, description="iterations of the self-distillation"
        )
        distillation_schedule_iterations: Iterations | None = Field(
            None, ge=1, description="the same as schedule_iterations, of the self-distillation"
        )
        distillation_batch_size: ImageCount = Field(
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
            False, description="whether the last network is tested with mirrored images, too"
        )
        distillation_resolution: float = Field(
            2.0,
            gt=0,
            description="factor on the dataset's training size in the self-distillation and its tests",
        )

    published: ClassVar[PublishedSettings] = {
        ("gta5_to_cityscapes", "deeplabv2-fada-r101"): _ORIGINAL,
        ("gta5_to_cityscapes", "deeplabv2-fada-vgg16"): {**_ORIGINAL, "distillation_color_jitter": False},
        ("synthia_to_cityscapes", "deeplabv2-fada-r101"): {**_ORIGINAL, "distillation_frozen_norm": True},
        ("synthia_to_cityscapes", "deeplabv2-fada-vgg16"): {**_ORIGINAL, "distillation_color_jitter": False},
    }


def _averaged(settings: FADA.Settings) -> Averaged | None:
    scales, flip = settings.test_scales, settings.test_flip
    return None if scales == (1.0,) and not flip else Averaged(scales, flip)


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
