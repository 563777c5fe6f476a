"""The first training of FADA: the source alone (Wang et al., Classes Matter, ECCV 2020).

A training step:

1. Source images are drawn by the classes they show, and seen whole.
2. The student, whose encoder's batch norms are frozen, predicts them.
3. Logits are resized to the size of the image with aligned corners.
4. Cross entropy, averaged over labelled pixels.
5. SGD with ten times the learning rate for the decoder.
6. The learning rate decays as a polynomial.

Published: 36.8 mIoU on GTA5 to Cityscapes, cityscapes19, val, with ResNet-101 and 28.3 with VGG-16, with the checkpoint
that is best on target labels. Ours scores the last iterate.

Quirks that are defaults:

- batch norms of the encoder are frozen, without epsilon (`frozen_norm`), unless the encoder states one above the usual
  1e-5;
- source images are drawn by the classes they show (`class_balanced`); a queue passes over one image per shuffle.

Where its numbers are claimed, the learning rate also decays towards an iteration that is never reached
(`schedule_iterations`).

Difference: the list of source images is as long as the training and not as its schedule.

At full size this is the very first stage of `fada` and is trained once for both. Where the network's own warm-up is
used, as in profile mini, `fada` counts it in the batches of its alignment, half as large: they are trained apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn
from typing_extensions import TypeVar

from adaptbench.adaptation.seg_loss import labelled_cross_entropy, pixel_accuracy, resize_logits
from adaptbench.contracts.method import LossGroup, Method, Optimizers, PublishedSettings
from adaptbench.contracts.profiles import ImageCount, Iterations
from adaptbench.contracts.settings import Settings as BaseSettings
from adaptbench.data.batch import Batch
from adaptbench.data.framing import WholeImages
from adaptbench.data.sampling import Sampling
from adaptbench.networks import Segmentor
from adaptbench.networks.frozen_norm import freeze_norms
from adaptbench.networks.inference import Mode, Whole
from adaptbench.networks.pretrained.adversarial import ENCODER_AND_CLASSIFIER
from adaptbench.optim.optimizer import build_schedule, by_name

#: What the original release trains, and with which networks.
BENCHMARKS = ("gta5_to_cityscapes", "synthia_to_cityscapes")
NETWORKS = ("deeplabv2-fada-r101", "deeplabv2-fada-vgg16")

S = TypeVar("S", bound="FADASource.Settings", default=Any)


class FADASource(Method[S]):
    """Supervised learning as all trainings of FADA have it: whole images, logits resized with aligned corners."""

    name = "fada_source"
    title = "Source only, as FADA begins"
    paper = "arXiv:2007.09222"
    tags: ClassVar[tuple[str, ...]] = ("control",)
    uses_target_images = False
    published_files = ENCODER_AND_CLASSIFIER
    student: Segmentor

    def build_student(self) -> nn.Module:
        """The network, with or without frozen batch norms in its encoder."""
        student = super().build_student()
        if self.settings.frozen_norm:
            freeze_norms(student.get_submodule("backbone"))  # 2
        return student

    @classmethod
    def sampling(cls, settings: S) -> Sampling:
        """Whole images, drawn by the classes they show."""
        return Sampling(framing=WholeImages(), balanced=settings.class_balanced)  # 1

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """Cross entropy of the labelled images."""
        logits = self.resized(self.student(batch.labelled.image), batch.labelled.image)  # 2 and 3
        yield self.segmentation_loss(logits, batch.labelled.label)  # 4

    def resized(self, logits: Tensor, image: Tensor) -> Tensor:
        """Logits at the size of the image. Shape: ``(B, C, h, w)`` to ``(B, C, H, W)``."""
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
        """Whole images; the logits are resized as in training."""
        return Whole(aligned=True)

    def schedules(self, optimizers: Optimizers) -> list[Any]:
        """That of the student, to its own end."""
        student = by_name(optimizers)["student"]
        total = self.settings.schedule_iterations or self.settings.iterations
        return build_schedule(student, self.settings, total)  # 6

    class Settings(BaseSettings):
        """Settings of FADA's first training."""

        network: str = Field(
            "deeplabv2-fada-r101", description="network plug-in, timm:ENCODER or an mmseg config file"
        )
        iterations: Iterations = Field(20_000, ge=0, description="training iterations")
        schedule_iterations: Iterations | None = Field(
            None, ge=1, description="iteration at which the decay would reach zero; none = the last one"
        )
        batch_size: ImageCount = Field(8, ge=1, description="images per domain and iteration")
        optimizer: Literal["adamw", "sgd"] = Field("sgd", description="optimiser of the student")
        learning_rate: float = Field(5e-4, gt=0, description="of the encoder, at its highest")
        weight_decay: float = Field(
            5e-4, ge=0, description="share of a weight's learning rate it loses per step"
        )
        norm_weight_decay: bool = Field(True, description="whether encoder normalisation layers decay, too")
        warmup: Iterations = Field(0, ge=0, description="iterations of linear warm-up, on top of the decay")
        poly_power: float = Field(0.9, gt=0, description="power of the polynomial decay to zero")
        frozen_norm: bool = Field(
            True, description="whether batch norms of the encoder are frozen, without the usual epsilon"
        )
        class_balanced: bool = Field(True, description="draw source images by the classes they show")

    published: ClassVar[PublishedSettings] = {
        (benchmark, network): {"schedule_iterations": 31_250}
        for benchmark in BENCHMARKS
        for network in NETWORKS
    }
