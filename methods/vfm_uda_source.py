"""VFM-UDA's source-only baseline: a foundation model trained on the source alone (Englert et al., CVPRW 2024).

What VFM-UDA adds adaptation to, with its network, data and optimiser. A training step (section 3 of the paper):

1. Source images are drawn so that rare classes are seen often (rare class sampling).
2. Nine of ten are jittered in colour, each on its own.
3. The student learns them: cross entropy, averaged over the labelled pixels.
4. The encoder learns at a tenth of the decoder's rate; everything decays, and the rate falls behind the warm-up.

Quirks of the published behaviour, kept as defaults:

- the published baseline's encoder learns at a hundredth of the decoder's rate, that of VFM-UDA at a tenth: say
  `learning_rate` 1.414e-6 and `head_lr_factor` 100 for the former. The control here has the rates of what it is
  compared with;
- images are stretched to 1.1 times their size, rounded down to a multiple of the patch, so that the encoder sees 1120
  pixels of a crop of 1024;
- images are resized by Pillow so that their shorter side fits, in training times a factor from 0.9 to 1.1, and crops
  that do not fit are padded with black;
- a crop has to show a rare class and no class on three quarters of it; of twenty that do not, the next is taken;
- in a test, windows of the size of the crop step by half of it, and their probabilities are averaged, not logits.

What differs: the mask token starts at zero where a file of start weights has none, as timm's have not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from adaptbench.adaptation.color_jitter import JitterStrength
from adaptbench.adaptation.seg_loss import labelled_cross_entropy, pixel_accuracy
from adaptbench.adaptation.view_augment import View, ViewKind, viewed
from adaptbench.contracts.method import LossGroup, Method, PublishedSettings
from adaptbench.contracts.profiles import ImageCount, Length
from adaptbench.data.batch import Batch
from adaptbench.data.framing import RescaledCrops
from adaptbench.data.sampling import Sampling
from adaptbench.draws import Draws
from adaptbench.networks.inference import Mode, Sliding
from adaptbench.networks.pretrained.foundation import VFM_UDA
from adaptbench.networks.vfm_uda import LEARNING_RATE
from methods.daformer import RareClassSettings

S = TypeVar("S", bound="VFMUDASource.Settings", default=Any)

#: How many crops of an image are tried for a rare class.
_CHECKS = 20
#: Colours of source images, and of target images before they are mixed.
WEAK = ViewKind(JitterStrength(32 / 255, 0.5, 0.5, 18 / 360), jittered=0.9)


class VFMUDASource(Method[S]):
    """Supervised training on the source with VFM-UDA's network, data and optimiser."""

    name = "vfm_uda_source"
    title = "VFM-UDA (source only)"
    paper = "arXiv:2406.09896"
    tags = ("control",)
    uses_target_images = False
    published_files = VFM_UDA

    @classmethod
    def sampling(cls, settings: S) -> Sampling:
        """Rare class sampling, unless it is off, in images of random sizes."""
        rare = settings.rare_classes()  # 1
        if rare is not None:
            rare = replace(rare, checks=_CHECKS, with_share=True)
        return Sampling(rare=rare, framing=RescaledCrops(scales=settings.scales))

    def losses(self, batch: Batch) -> Iterable[LossGroup] | LossGroup:
        """The source loss."""
        return self.source_loss(
            batch, self.draw_views(batch.draws, "weak source", WEAK, len(batch.source.names))
        )

    def source_loss(self, batch: Batch, views: list[View]) -> LossGroup:
        """Cross entropy of the source in the given views."""
        image = viewed(batch.source.image, views, self.normalisation)  # 2
        self.observe("jittered", image=image)
        features = self.student.get_submodule("backbone")(image)
        logits, label = self.student.get_submodule("decode_head")(features), batch.source.label
        losses = {
            "loss_seg": labelled_cross_entropy(logits, label),
            "acc_seg": pixel_accuracy(logits, label),
        }  # 3
        return {**losses, **self.feature_loss(image, features, label)}

    def feature_loss(self, image: Tensor, features: Sequence[Tensor], label: Tensor) -> LossGroup:
        """What else is learned from the features of the source. Default: nothing."""
        return {}

    # 4: `Method.optimizers` and `Method.schedules`

    @staticmethod
    def draw_views(draws: Draws, purpose: str, kind: ViewKind, number: int) -> list[View]:
        """A view for each of so many images."""
        return [kind.draw(draws.numpy(f"{purpose} {i}")) for i in range(number)]

    def inference(self) -> Mode:
        """Windows of the size of the crop, half of it apart, whose probabilities are averaged."""
        side = self.settings.crop
        return Sliding((side, side), (side // 2, side // 2), probabilities=True)

    class Settings(RareClassSettings):
        """Settings of the supervised training."""

        scales: tuple[float, float] = Field(
            (0.9, 1.1), description="range of the factors on the size of training images"
        )
        network: str = Field(
            "vfm_uda-dinov2_base",
            description="network plug-in, [daformer-]timm:ENCODER or an mmseg config file",
        )
        batch_size: ImageCount = Field(8, ge=1, description="images per domain and iteration")
        crop: Length = Field(1024, ge=8, description="side of the square training crop in pixels")
        resolution: float = Field(
            2.0, gt=0, description="factor on the dataset's training size before cropping"
        )
        learning_rate: float = Field(LEARNING_RATE, gt=0, description="of the encoder, at its highest")
        norm_weight_decay: bool = Field(True, description="whether encoder normalisation layers decay, too")
        position_weight_decay: bool = Field(True, description="whether learned positions decay, too")
        warmup_start: float = Field(1e-3, gt=0, le=1, description="share of the learning rate at iteration 0")
        warmup_decays: bool = Field(
            False, description="whether the rate decays during the warm-up, too; if not, it falls behind it"
        )
        rare_class_temperature: float = Field(
            0.05, gt=0, description="the lower, the more often rare classes are drawn"
        )
        rare_class_min_crop_ratio: float = Field(
            2.0, ge=0, description="share of these pixels that a crop has to show; 0 = any crop"
        )

    published: ClassVar[PublishedSettings] = {
        ("gta5_to_cityscapes", f"vfm_uda-dinov2_{size}"): {} for size in ("base", "large")
    }
