"""DAFormer: self-training that learns rare classes and does not forget ImageNet (Hoyer et al., CVPR 2022).

DACS with a MiT-B5 encoder and the DAFormer decoder, and three training strategies: source pictures are drawn so
that rare classes are seen often (rare class sampling), the features of things stay close to those of the ImageNet
encoder (feature distance), and the learning rate warms up.

Settings off the published ones are options of that name: `rare_class_sampling`, `rare_class_temperature`,
`feature_distance` (``things``, ``all`` positions or ``off``), `warmup` 0, `pseudo_ignore_top` and
`pseudo_ignore_bottom` 0. The single-scale trainings of HRDA's studies have `margins` instead of ignored rows,
`inference` ``sliding`` and, where crops are small, `synchronized_crop`.

Quirks of the published behaviour beside those of DACS, kept as defaults:

- rows at the top and the bottom of every target crop carry no weight, wherever in the picture the crop lies;
- rare class sampling draws the target picture uniformly with replacement; after ten crops without enough
  of the class the eleventh is taken as it is, and what counts as enough is not scaled with the picture;
- a class that no label file shows often enough (the reference fails then) is left out of the sampling;
- a block of the label counts for the feature distance if its majority class, ignore included, is a thing and
  covers 75 per cent of ALL its pixels; without any such block NaN is logged and the gradient is zero;
- warm-up multiplies the polynomial decay, which runs from iteration 0.

The feature distance compares with the student's own initial encoder. That is the ImageNet encoder if the network
starts from ImageNet weights; where the pretraining column says ``none`` it is a random one.

Source loss and feature distance share one backward pass here; the reference walks the same graph twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from adaptbench.adaptation import feature_distance as fd
from adaptbench.adaptation.ema import Teacher
from adaptbench.adaptation.imagenet_encoder import FrozenEncoder, level_of_stride
from adaptbench.adaptation.pseudo_label import PaddingRule, PseudoLabel, restrict
from adaptbench.contracts.method import LossGroup, Method, Task
from adaptbench.contracts.profiles import Length, PixelCount
from adaptbench.contracts.settings import Settings as BaseSettings
from adaptbench.data.batch import Batch, Images
from adaptbench.data.pseudo_margins import Margins
from adaptbench.data.sampling import RareClasses, Sampling
from adaptbench.draws import Draws
from adaptbench.networks.inference import Mode, Sliding, Whole
from methods.dacs import DACS, PREFIXES, Learned, Part, View


class SourceStrategies(Method):
    """What DAFormer changes in the training on the source, with or without a target."""

    class Settings(BaseSettings):
        """Settings of the training strategies."""

        network: str = Field(
            "daformer-mit_b5", description="network plug-in, [daformer-]timm:ENCODER or an mmseg config file"
        )
        rare_class_sampling: bool = Field(True, description="draw source pictures by rare classes")
        rare_class_temperature: float = Field(
            0.01, gt=0, description="the lower, the more often rare classes are drawn"
        )
        rare_class_min_pixels: PixelCount = Field(
            3000, ge=0, description="a picture shows a class with more pixels than this"
        )
        rare_class_min_crop_ratio: float = Field(
            0.5, ge=0, description="share of these pixels that a crop has to show; 0 = any crop"
        )
        rare_class_missing: Literal["drop", "error"] = Field(
            "drop", description="what to do with a class that no picture shows often enough"
        )
        feature_distance: Literal["things", "all", "off"] = Field(
            "things", description="positions at which features stay close to ImageNet"
        )
        feature_distance_weight: float = Field(0.005, ge=0, description="weight of the feature distance")
        feature_distance_stride: Length = Field(
            32, ge=1, description="the feature map with this stride is compared"
        )
        feature_distance_min_ratio: float = Field(
            0.75, ge=0, le=1, description="share of a block that its class has to cover"
        )
        inference: Literal["whole", "sliding"] = Field(
            "whole", description="test pictures are seen whole, or in windows as large as what is trained on"
        )

    settings: Settings

    def __init__(self, task: Task, settings: Settings) -> None:
        super().__init__(task, settings)
        self.settings = settings
        off = settings.feature_distance == "off" or settings.feature_distance_weight == 0
        self.imagenet = None if off else FrozenEncoder(self.student.get_submodule("backbone"))

    @classmethod
    def sampling(cls, settings: BaseSettings) -> Sampling:
        """Rare class sampling, unless it is off."""
        assert isinstance(settings, SourceStrategies.Settings)
        if not settings.rare_class_sampling:
            return super().sampling(settings)
        rare = RareClasses(
            settings.rare_class_temperature,
            settings.rare_class_min_pixels,
            settings.rare_class_min_crop_ratio,
            settings.rare_class_missing,
        )
        return replace(super().sampling(settings), rare=rare)

    def inference(self) -> Mode:
        """Whole pictures, or windows as large as what is trained on, stepping by half of it."""
        if self.settings.inference == "whole":
            return Whole()
        side = self.trained_side()
        return Sliding((side, side), (side // 2, side // 2))

    def trained_side(self) -> int:
        """Side of the square that is trained on, in pixels."""
        return self.settings.crop

    def source_loss(self, batch: Batch) -> LossGroup:
        """Cross entropy of the source, and the distance of its features from ImageNet's."""
        learned = self.learn(batch.source.image, batch.source.label, None, "source", batch.draws)
        return {**learned.losses, **self.distance_loss(batch.source.label, learned.views)}

    def distance_loss(self, label: Tensor, views: Sequence[View]) -> dict[str, Tensor]:
        """The feature distance as a named loss; nothing if it is off."""
        if self.imagenet is None:
            return {}
        distances = self.distances(label, views)
        if distances[0].mask is not None:
            self.observe("source", compared_features=distances[0].mask)
        weight = self.settings.feature_distance_weight
        return {"source.loss_feature_distance": fd.feature_distance_loss(distances, weight)}

    def learn(self, image: Tensor, label: Tensor, weight: Tensor | None, part: Part, draws: Draws) -> Learned:
        """One training pass of the student, with the features it saw."""
        features: Sequence[Tensor] = self.student.get_submodule("backbone")(image)
        logits = self.student.get_submodule("decode_head")(features)
        losses = self.segmentation_loss(logits, label, weight, PREFIXES[part])
        return Learned(losses, logits, (View(image, features),))

    def distances(self, label: Tensor, views: Sequence[View]) -> list[fd.FeatureDistance]:
        """Feature distance of each view of the source."""
        return [self._distance(label, view) for view in views]

    def _distance(self, label: Tensor, view: View) -> fd.FeatureDistance:
        assert self.imagenet is not None
        level = level_of_stride(view.image, view.features, self.settings.feature_distance_stride)
        classes = self.task.class_set.things if self.settings.feature_distance == "things" else None
        features, imagenet = view.features[level], self.imagenet(view.image)[level]
        copies = len(features) // len(imagenet)  # style hallucination has doubled the student's batch
        return fd.feature_distance(
            features,
            imagenet.repeat(copies, 1, 1, 1),
            label[(..., *view.region)],
            classes,
            self.settings.feature_distance_min_ratio,
            len(self.task.class_set),
        )


class DAFormer(SourceStrategies, DACS):
    """DACS with rare class sampling and feature distance, on DAFormer's network."""

    name = "daformer"
    title = "DAFormer"
    paper = "arXiv:2111.14887"
    tags = ("self-training",)
    published: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = {
        ("gta5_to_cityscapes", "daformer-mit_b5"): {},
    }
    printed: ClassVar[Mapping[str, tuple[str, str, str, str]]] = {
        "daformer-mit_b5": ("DAFormer", "", "MiT-B5", "DAFormer"),
        "deeplabv2-r101": ("DAFormer", "full DAFormer UDA on DeepLabV2", "ResNet-101", "DeepLabV2"),
    }

    class Settings(SourceStrategies.Settings, DACS.Settings):  # pydantic: the first one's defaults win
        """Settings of the self-training and of the three training strategies."""

        ema_alpha: float = Field(0.999, ge=0, le=1, description="largest share of the old teacher")
        pseudo_ignore_top: Length = Field(
            15, ge=0, description="rows without weight at the top of target crops"
        )
        pseudo_ignore_bottom: Length = Field(
            120, ge=0, description="rows without weight at the bottom of target crops"
        )
        padding_weight: PaddingRule = Field(
            "as-published", description="weight of padded target pixels under a mask: 255 times, or zero"
        )
        margins: bool = Field(False, description="whether borders of target pictures carry no weight")
        margin_top: Length = Field(30, ge=0, description="in pixels of the target picture file")
        margin_bottom: Length = Field(240, ge=0, description="in pixels of the target picture file")
        margin_left: Length = Field(30, ge=0, description="in pixels of the target picture file")
        margin_right: Length = Field(30, ge=0, description="in pixels of the target picture file")
        synchronized_crop: Length = Field(
            0,
            ge=0,
            description="side of the part, equal in source and target crop, that is trained on; 0 = all",
        )

    settings: Settings

    @classmethod
    def sampling(cls, settings: BaseSettings) -> Sampling:
        """Rare class sampling, margins of target pictures and synchronised crops, as far as they are on."""
        assert isinstance(settings, DAFormer.Settings)
        sides = (settings.margin_top, settings.margin_bottom, settings.margin_left, settings.margin_right)
        return replace(
            super().sampling(settings),
            margins=Margins(*sides) if settings.margins else None,
            part=settings.synchronized_crop or None,
        )

    def trained_side(self) -> int:
        """Side of the synchronised part, or of the crop."""
        return self.settings.synchronized_crop or super().trained_side()

    def label_by(self, teacher: Teacher, target: Images, threshold: float) -> PseudoLabel:
        """A teacher's labels, without weight at the borders: margins of the picture, or rows of the crop."""
        pseudo = super().label_by(teacher, target, threshold)
        top, bottom = self.settings.pseudo_ignore_top, self.settings.pseudo_ignore_bottom
        rule = self.settings.padding_weight
        return pseudo._replace(weight=restrict(pseudo.weight, target.trusted, top, bottom, rule))
