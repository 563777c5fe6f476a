"""MinEnt: direct entropy minimisation (Vu et al., ADVENT, CVPR 2019).

A training step (equations of the paper):

1. The student predicts source images, on both outputs of DeepLabV2.
2. It learns them: cross entropy (section 3); the auxiliary output with a small weight.
3. It predicts target images.
4. The entropy of every pixel's prediction, as a share of the largest possible, is its uncertainty (equation 2).
5. The student learns to be certain: the mean entropy (equation 3) times a small weight, for both outputs.
6. The learning rate decays as a polynomial.

The settings are those of the original release; `published` also holds those of the re-run in the HRDA framework (ECCV
2022, table 2: 44.3 mIoU on GTA5 to Cityscapes, cityscapes19, val; mean of 3 seeds).

Quirks of the original release, in force where its numbers are claimed (GTA5 to Cityscapes, ``deeplabv2-multi-r101``)
and options elsewhere:

- the optimiser lists most tensors of the encoder three or four times and updates them as often, with the arithmetic of
  PyTorch 0.4 (`parameter_listing` ``repeated``; ``once`` elsewhere);
- the learning rate decays towards iteration 250,000, but training ends at 120,000 (`schedule_iterations`).

Quirks that are defaults:

- images are stretched to the training size and seen whole, one per domain (`pictures` ``whole``, `batch_size` 1);
- logits are resized with aligned corners (`align_corners`), in tests at once to the size of the label;
- the network's batch norms use the statistics of the one image, and their scale and shift stay as they are.

The re-run differs in all of it: crops, colour distortion of the source, one learning rate, and ignored pixels that
count in the mean of the cross entropy (`ignored_pixels`). The original keeps the snapshot that is best on target
labels; here the last iterate is scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from mmengine.optim import OptimWrapper
from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from adaptbench.adaptation.entropy import entropy_loss, self_information
from adaptbench.adaptation.seg_loss import labelled_cross_entropy, pixel_accuracy, resize_logits
from adaptbench.contracts.method import LossGroup, Method, Optimizers, PublishedSettings
from adaptbench.contracts.profiles import ImageCount, Iterations
from adaptbench.contracts.settings import Settings as BaseSettings
from adaptbench.data.batch import Batch
from adaptbench.data.framing import Crops, WholeImages
from adaptbench.data.sampling import Sampling
from adaptbench.data.units import later
from adaptbench.networks import Segmentor
from adaptbench.networks.inference import Mode, Whole
from adaptbench.networks.pretrained.adversarial import TWO_CLASSIFIERS
from adaptbench.networks.two_outputs import TwoOutputHead
from adaptbench.optim.optimizer import Listing, build_optimizer, build_schedule, by_name

#: Logits of every output of the network by name: ``main``, and ``aux`` where it has an auxiliary one.
Outputs = dict[str, Tensor]
S = TypeVar("S", bound="OutputAdaptation.Settings", default=Any)
M = TypeVar("M", bound="MinEnt.Settings", default=Any)


def log_name(output: str, key: str) -> str:
    """Name in the log of a value of an output; the main one's stand without prefix."""
    return key if output == "main" else f"{output}.{key}"


class OutputAdaptation(Method[S]):
    """Learns the source from every output of the network; what is done with those on the target is left open."""

    student: Segmentor

    @classmethod
    def sampling(cls, settings: S) -> Sampling:
        """Whole images or crops, with or without distorted colours."""
        framing = WholeImages() if settings.pictures == "whole" else Crops()
        return Sampling(framing=framing, distortion=settings.photometric_distortion)

    def output_names(self) -> tuple[str, ...]:
        """Names of the network's outputs."""
        two = isinstance(self.student.get_submodule("decode_head"), TwoOutputHead)
        return ("main", "aux") if two else ("main",)

    def source_pass(self, batch: Batch) -> tuple[LossGroup, Outputs]:
        """What is learned from the labelled images, and the logits of every output at their size."""
        outputs = self.predict(batch.source.image)  # 1
        weights = {"main": self.settings.segmentation_weight, "aux": self.settings.segmentation_weight_aux}
        losses: dict[str, Tensor] = {}
        for name, logits in outputs.items():
            part = self.segmentation_loss(logits, batch.source.label, prefix=log_name(name, ""))
            weight = weights[name]
            losses |= {**part, log_name(name, "loss_seg"): weight * part[log_name(name, "loss_seg")]}  # 2
        return losses, outputs

    def target_pass(self, batch: Batch) -> Outputs:
        """The logits of every output on the target, at the size of the images."""
        assert batch.target is not None
        return self.predict(batch.target.image)

    def predict(self, image: Tensor) -> Outputs:
        """The logits of every output at the size of the images. Shape: image ``(B, 3, H, W)``."""
        size = (image.shape[-2], image.shape[-1])
        outputs = self.student.outputs(image)
        return {
            name: resize_logits(logits, size, self.settings.align_corners) for name, logits in outputs.items()
        }

    def segmentation_loss(
        self, logits: Tensor, label: Tensor, weight: Tensor | None = None, prefix: str = ""
    ) -> dict[str, Tensor]:
        """Cross entropy, with or without ignored pixels in its mean, and accuracy as one loss group."""
        if self.settings.ignored_pixels == "counted":
            return super().segmentation_loss(logits, label, weight, prefix)
        assert weight is None
        return {
            f"{prefix}loss_seg": labelled_cross_entropy(logits, label),
            f"{prefix}acc_seg": pixel_accuracy(logits, label),
        }

    def inference(self) -> Mode:
        """Whole images; the logits are resized as in training."""
        return Whole(aligned=self.settings.align_corners)

    def optimizers(self) -> Optimizers:
        """That of the student."""
        return self.student_optimizer()

    def student_optimizer(self) -> OptimWrapper:
        """With every tensor listed once, or as published."""
        return build_optimizer(self.student, self.settings, self.settings.parameter_listing)

    def schedules(self, optimizers: Optimizers) -> list[Any]:  # 6
        """That of the student, to its own end."""
        student = by_name(optimizers)["student"]
        total = self.settings.schedule_iterations or self.settings.iterations
        return build_schedule(student, self.settings, total)

    class Settings(BaseSettings):
        """Settings of ADVENT's framework."""

        network: str = Field(
            "deeplabv2-multi-r101", description="network plug-in, timm:ENCODER or an mmseg config file"
        )
        iterations: Iterations = Field(120_000, ge=0, description="training iterations")
        batch_size: ImageCount = Field(1, ge=1, description="images per domain and iteration")
        pictures: Literal["whole", "crops"] = Field(
            "whole", description="images are seen whole, without mirroring, or in crops"
        )
        optimizer: Literal["adamw", "sgd"] = Field("sgd", description="optimiser of the student")
        learning_rate: float = Field(2.5e-4, gt=0, description="of the encoder, at its highest")
        weight_decay: float = Field(
            5e-4, ge=0, description="share of a weight's learning rate it loses per step"
        )
        warmup: Iterations = Field(0, ge=0, description="iterations of linear warm-up, on top of the decay")
        poly_power: float = Field(0.9, gt=0, description="power of the polynomial decay to zero")
        schedule_iterations: Iterations | None = Field(
            None, ge=1, description="iteration at which the decay would reach zero; none = the last one"
        )
        parameter_listing: Listing = Field(
            "once",
            description="how often sgd lists a tensor of the encoder: once, or as published (repeated)",
        )
        segmentation_weight: float = later(1.0, ge=0, description="weight of the main output's cross entropy")
        segmentation_weight_aux: float = Field(
            0.1, ge=0, description="weight of the auxiliary output's cross entropy"
        )
        align_corners: bool = Field(True, description="how logits are resized to the size of the image")
        ignored_pixels: Literal["left-out", "counted"] = Field(
            "left-out", description="whether ignored pixels count in the mean of the cross entropy"
        )
        photometric_distortion: bool = Field(False, description="distort the colours of source images")


class RerunSettings(OutputAdaptation.Settings):
    """Settings of the re-runs in the framework of HRDA, arXiv 2204.13132, table 2."""

    network: str = Field(
        "deeplabv2-r101", description="network plug-in, timm:ENCODER or an mmseg config file"
    )
    iterations: Iterations = Field(40_000, ge=0, description="training iterations")
    batch_size: ImageCount = Field(2, ge=1, description="images per domain and iteration")
    pictures: Literal["whole", "crops"] = Field(
        "crops", description="images are seen whole, without mirroring, or in crops"
    )
    learning_rate: float = Field(2.5e-3, gt=0, description="of the encoder, at its highest")
    head_lr_factor: float = Field(1.0, gt=0, description="factor on the learning rate of the decoder")
    warmup: Iterations = Field(1500, ge=0, description="iterations of linear warm-up, on top of the decay")
    poly_power: float = Field(1.0, gt=0, description="power of the polynomial decay to zero")
    align_corners: bool = Field(False, description="how logits are resized to the size of the image")
    ignored_pixels: Literal["left-out", "counted"] = Field(
        "counted", description="whether ignored pixels count in the mean of the cross entropy"
    )
    photometric_distortion: bool = Field(True, description="distort the colours of source images")


#: The same as values; the network is the key they are published under.
RERUN: Mapping[str, Any] = {
    name: RerunSettings.model_fields[name].default
    for name in RerunSettings.__annotations__
    if name != "network"
}
#: What the original release does beside the defaults above.
ORIGINAL: Mapping[str, Any] = {"schedule_iterations": 250_000, "parameter_listing": "repeated"}


class MinEnt(OutputAdaptation[M]):
    """Minimises the entropy of the predictions on the target."""

    name = "minent"
    title = "MinEnt"
    paper = "arXiv:1811.12833"
    tags = ("entropy",)
    published_files = TWO_CLASSIFIERS

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """Source loss, then the entropy on the target."""
        yield self.source_pass(batch)[0]  # 1 and 2
        yield self.entropy_losses(self.target_pass(batch))  # 3 to 5

    def entropy_losses(self, outputs: Outputs) -> LossGroup:
        """The weighted entropy of every output's predictions, and the main one's without weight."""
        weights = {"main": self.settings.entropy_weight, "aux": self.settings.entropy_weight_aux}
        probabilities = {name: logits.softmax(dim=1) for name, logits in outputs.items()}
        if self.observers:
            self.observe("target", entropy=self_information(probabilities["main"]).sum(dim=1))
        entropies = {name: entropy_loss(probability) for name, probability in probabilities.items()}  # 4
        losses = {
            log_name(name, "target.loss_entropy"): weights[name] * e for name, e in entropies.items()
        }  # 5
        return {**losses, "target.entropy": entropies["main"]}

    class Settings(OutputAdaptation.Settings):
        """Weights of the entropy."""

        entropy_weight: float = Field(0.001, ge=0, description="weight of the main output's entropy")
        entropy_weight_aux: float = Field(
            0.0002, ge=0, description="weight of the auxiliary output's entropy"
        )

    published: ClassVar[PublishedSettings] = {
        ("gta5_to_cityscapes", "deeplabv2-multi-r101"): ORIGINAL,
        ("gta5_to_cityscapes", "deeplabv2-r101"): RERUN,
    }
