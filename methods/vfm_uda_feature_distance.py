"""VFM-UDA with feature distance, the ablation that its authors publish and advise against (CVPR workshops 2024).

VFM-UDA, and one more loss that keeps the encoder where its pretraining left it. A training step (section 4 of the
paper; `methods/vfm_uda.py` has the steps without a star):

1. The student learns source images, as in VFM-UDA.
2. * Tokens of things are compared with those of a frozen copy of the initial encoder (feature distance); the distance
   is part of the source loss.
3. * The teacher labels target images once, without their mirror images.
4. The student learns mixed images.
5. * Target images are jittered and blurred by one draw for the whole batch before tokens are hidden.
6. The student learns them, and the teacher follows.

Quirks of the published behaviour, kept as defaults: a token counts if one thing covers 75 per cent of its patch in the
label that is stretched as the image; without any the distance is NaN and its gradient zero.

What differs: images of a batch are mirrored one by one and not all at once, and buffers of the teacher follow, too,
which the published encoder has none of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field
from torch import Tensor
from torch.nn import functional
from typing_extensions import TypeVar

from adaptbench.adaptation.feature_distance import FeatureDistance, feature_distance, feature_distance_loss
from adaptbench.adaptation.imagenet_encoder import FrozenEncoder
from adaptbench.contracts.method import LossGroup
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch
from methods.vfm_uda import VFMUDA, StepDraws

S = TypeVar("S", bound="VFMUDAFeatureDistance.Settings", default=Any)


class VFMUDAFeatureDistance(VFMUDA[S]):
    """VFM-UDA that stays close to the features of the foundation model."""

    name = "vfm_uda_feature_distance"
    title = "VFM-UDA with feature distance"
    paper = "arXiv:2406.09896"
    tags = ("self-training",)
    mirrors = False  # 3

    def __init__(self, task: Task, settings: S) -> None:
        super().__init__(task, settings)
        self.frozen = FrozenEncoder(self.encoder())

    def feature_loss(self, image: Tensor, features: Sequence[Tensor], label: Tensor) -> LossGroup:
        """The weighted distance of the tokens of things."""
        distance = self.distance(image, features[-1], label)  # 2
        if distance.mask is not None:
            self.observe("source", compared_features=distance.mask)
        return {
            "source.loss_feature_distance": feature_distance_loss(
                [distance], self.settings.feature_distance_weight
            )
        }

    def distance(self, image: Tensor, features: Tensor, label: Tensor) -> FeatureDistance:
        """Distance from the frozen encoder's features of the same images."""
        size = self.encoder().encoder_size((image.shape[-2], image.shape[-1]))
        stretched = functional.interpolate(label.float(), size, mode="nearest").long()
        things, ratio = self.task.class_set.things, self.settings.feature_distance_min_ratio
        return feature_distance(
            features, self.frozen(image)[-1], stretched, things, ratio, len(self.task.class_set)
        )

    def draw_step(self, batch: Batch) -> StepDraws:
        """All random decisions of a step; masked images share one."""
        draws = super().draw_step(batch)
        return replace(draws, masked=draws.masked[:1] * len(draws.masked))  # 5

    class Settings(VFMUDA.Settings):
        """Settings of the distance."""

        feature_distance_weight: float = Field(0.005, ge=0, description="weight of the feature distance")
        feature_distance_min_ratio: float = Field(
            0.75, ge=0, le=1, description="share of a token's patch that its class has to cover"
        )
