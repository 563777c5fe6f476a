"""DAFormer: self-training that learns rare classes and does not forget ImageNet (Hoyer et al., CVPR 2022).

DACS with a MiT-B5 encoder and the DAFormer decoder, and three training strategies. A training step (equations of the
paper):

1. Source images are drawn so that rare classes are seen often (rare class sampling, equations 6 and 7).
2. The teacher's weights follow the student's, as an exponential moving average (equation 5).
3. The student learns source images: cross entropy (equation 1).
4. Its features of things stay close to those of the ImageNet encoder (feature distance, section 3.3).
5. The teacher labels target images; the share of pixels that it is sure of is their weight (equations 2 and 3).
6. Pseudo-labels at the borders of target images carry no weight (section 4.1).
7. Source classes are pasted onto target images, which are jittered and blurred, as in DACS.
8. The student learns the mixed images: weighted cross entropy (equation 4).
9. The learning rate warms up (section 3.3).

Settings off the published ones are options of that name: `rare_class_sampling`, `rare_class_temperature`,
`feature_distance` (``things``, ``all`` positions or ``off``), `warmup` 0, `pseudo_ignore_top` and
`pseudo_ignore_bottom` 0. The single-scale trainings of HRDA's studies have `margins` instead of ignored rows,
`inference` ``sliding`` and, where crops are small, `synchronized_crop`.

Quirks of the published behaviour beside those of DACS, kept as defaults:

- rows at the top and the bottom of every target crop carry no weight, wherever in the image the crop lies;
- rare class sampling draws the target image uniformly with replacement; after ten crops without enough
  of the class the eleventh is taken as it is, and what counts as enough is not scaled with the image;
- a class that no label file shows often enough (the reference fails then) is left out of the sampling;
- a block of the label counts for the feature distance if its majority class, ignore included, is a thing and
  covers 75 per cent of ALL its pixels; without any such block NaN is logged and the gradient is zero;
- warm-up multiplies the polynomial decay, which runs from iteration 0.

The feature distance compares with the student's own initial encoder. That is the ImageNet encoder if the network
starts from ImageNet weights; where the pretraining column says ``none`` it is a random one.

Source loss and feature distance share one backward pass here; the reference walks the same graph twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn
from typing_extensions import TypeVar

from adaptbench.adaptation import feature_distance as fd
from adaptbench.adaptation.imagenet_encoder import FrozenEncoder, level_of_stride
from adaptbench.adaptation.pseudo_label import PaddingRule, restrict
from adaptbench.contracts.method import LossGroup, Method, PublishedSettings
from adaptbench.contracts.profiles import Decay, Length, PixelCount
from adaptbench.contracts.resources import Resources
from adaptbench.contracts.settings import Settings as BaseSettings
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch, Images
from adaptbench.data.pseudo_margins import Margins
from adaptbench.data.sampling import RareClasses, Sampling
from adaptbench.data.taxonomy import ClassSet
from adaptbench.draws import Draws
from adaptbench.networks.inference import Mode, Sliding, Whole
from methods.dacs import DACS, PREFIXES, EncoderView, PassName, PassOutput

S = TypeVar("S", bound="DAFormer.Settings", default=Any)


class RareClassSettings(BaseSettings):
    """Settings of rare class sampling."""

    rare_class_sampling: bool = Field(True, description="draw source images by rare classes")
    rare_class_temperature: float = Field(
        0.01, gt=0, description="the lower, the more often rare classes are drawn"
    )
    rare_class_min_pixels: PixelCount = Field(
        3000, ge=0, description="an image shows a class with more pixels than this"
    )
    rare_class_min_crop_ratio: float = Field(
        0.5, ge=0, description="share of these pixels that a crop has to show; 0 = any crop"
    )
    rare_class_missing: Literal["drop", "error"] = Field(
        "drop", description="what to do with a class that no image shows often enough"
    )

    def rare_classes(self) -> RareClasses | None:
        """Rare class sampling, unless it is off."""
        if not self.rare_class_sampling:
            return None
        return RareClasses(
            self.rare_class_temperature,
            self.rare_class_min_pixels,
            self.rare_class_min_crop_ratio,
            self.rare_class_missing,
        )


class StrategySettings(RareClassSettings):
    """Settings of the training strategies on the source, and what follows from them."""

    network: str = Field(
        "daformer-mit_b5", description="network plug-in, [daformer-]timm:ENCODER or an mmseg config file"
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
        "whole", description="test images are seen whole, or in windows as large as what is trained on"
    )

    def inference_mode(self, side: int) -> Mode:
        """Whole images, or windows of the ``side`` that is trained on, stepping by half of it."""
        return Whole() if self.inference == "whole" else Sliding((side, side), (side // 2, side // 2))


class ImageNetDistance(FrozenEncoder):
    """The encoder as ImageNet left it, and how far from it the student's features of the source are.

    Args:
        encoder: that of the student, before it is trained.
        class_set: says which classes are things.
        settings: weight, and the positions that count.
    """

    def __init__(self, encoder: nn.Module, class_set: ClassSet, settings: StrategySettings) -> None:
        super().__init__(encoder)
        self._class_set = class_set
        self._settings = settings

    def loss(
        self, label: Tensor, views: Sequence[EncoderView], observe: Callable[..., None]
    ) -> dict[str, Tensor]:
        """The weighted distance of all views as a named loss; shows where the first one's features count."""
        distances = self.distances(label, views)
        if distances[0].mask is not None:
            observe("source", compared_features=distances[0].mask)
        weight = self._settings.feature_distance_weight
        return {"source.loss_feature_distance": fd.feature_distance_loss(distances, weight)}

    def distances(self, label: Tensor, views: Sequence[EncoderView]) -> list[fd.FeatureDistance]:
        """Feature distance of each view of the source."""
        return [self._distance(label, view) for view in views]

    def _distance(self, label: Tensor, view: EncoderView) -> fd.FeatureDistance:
        level = level_of_stride(view.image, view.features, self._settings.feature_distance_stride)
        classes = self._class_set.things if self._settings.feature_distance == "things" else None
        features, imagenet = view.features[level], self(view.image)[level]
        copies = len(features) // len(imagenet)  # style hallucination has doubled the student's batch
        return fd.feature_distance(
            features,
            imagenet.repeat(copies, 1, 1, 1),
            label[(..., *view.region)],
            classes,
            self._settings.feature_distance_min_ratio,
            len(self._class_set),
        )


def imagenet_distance(method: Method, settings: StrategySettings) -> ImageNetDistance | None:
    """The feature distance of a method whose student is not trained yet, unless it is off."""
    if settings.feature_distance == "off" or settings.feature_distance_weight == 0:
        return None
    return ImageNetDistance(method.student.get_submodule("backbone"), method.task.class_set, settings)


def pass_with_features(
    method: Method, image: Tensor, label: Tensor, weight: Tensor | None, name: PassName
) -> PassOutput:
    """One training pass of a method's student, with the features it saw. Shape: as `DACS.train_pass`."""
    features: Sequence[Tensor] = method.student.get_submodule("backbone")(image)
    logits = method.student.get_submodule("decode_head")(features)
    losses = method.segmentation_loss(logits, label, weight, PREFIXES[name])
    return PassOutput(losses, logits, (EncoderView(image, features),))


class DAFormer(DACS[S]):
    """DACS with rare class sampling and feature distance, on DAFormer's network."""

    name = "daformer"
    title = "DAFormer"
    paper = "arXiv:2111.14887"
    tags = ("self-training",)

    def __init__(self, task: Task, settings: S) -> None:
        super().__init__(task, settings)
        self.imagenet = imagenet_distance(self, settings)

    @classmethod
    def sampling(cls, settings: S) -> Sampling:
        """Rare class sampling, margins of target images and synchronised crops, as far as they are on."""
        sides = (settings.margin_top, settings.margin_bottom, settings.margin_left, settings.margin_right)
        return Sampling(
            rare=settings.rare_classes(),  # 1
            margins=Margins(*sides) if settings.margins else None,  # 6
            part=settings.synchronized_crop or None,
        )

    # 2: `DACS.losses`, which calls what follows

    def source_loss(self, batch: Batch) -> LossGroup:
        """Cross entropy of the source, and the distance of its features from ImageNet's."""
        label = batch.source.label
        output = self.train_pass(batch.source.image, label, None, "source", batch.draws)  # 3
        distance = self.imagenet.loss(label, output.views, self.observe) if self.imagenet else {}  # 4
        return {**output.losses, **distance}

    def train_pass(
        self, image: Tensor, label: Tensor, weight: Tensor | None, name: PassName, draws: Draws
    ) -> PassOutput:
        """One training pass of the student, with the features it saw."""
        return pass_with_features(self, image, label, weight, name)

    # 5: `DACS.label_with`

    def trusted_part(self, weight: Tensor, target: Images) -> Tensor:
        """The weight without that of borders: margins of the image, or rows of the crop."""
        top, bottom = self.settings.pseudo_ignore_top, self.settings.pseudo_ignore_bottom
        return restrict(weight, target.trusted, top, bottom, self.settings.padding_weight)  # 6

    # 7 and 8: `DACS.target_losses`; 9: `Method.schedules`

    def inference(self) -> Mode:
        """Whole images, or windows as large as what is trained on: the synchronised part, or the crop."""
        return self.settings.inference_mode(self.settings.synchronized_crop or self.settings.crop)

    class Settings(StrategySettings, DACS.Settings):  # pydantic: the first one's defaults win
        """Settings of the self-training and of the three training strategies."""

        ema_alpha: Decay = Field(0.999, ge=0, le=1, description="largest share of the old teacher")
        pseudo_ignore_top: Length = Field(
            15, ge=0, description="rows without weight at the top of target crops"
        )
        pseudo_ignore_bottom: Length = Field(
            120, ge=0, description="rows without weight at the bottom of target crops"
        )
        padding_weight: PaddingRule = Field(
            "as-published", description="weight of padded target pixels under a mask: 255 times, or zero"
        )
        margins: bool = Field(False, description="whether borders of target images carry no weight")
        margin_top: Length = Field(30, ge=0, description="in pixels of the target image file")
        margin_bottom: Length = Field(240, ge=0, description="in pixels of the target image file")
        margin_left: Length = Field(30, ge=0, description="in pixels of the target image file")
        margin_right: Length = Field(30, ge=0, description="in pixels of the target image file")
        synchronized_crop: Length = Field(
            0,
            ge=0,
            description="side of the part, equal in source and target crop, that is trained on; 0 = all",
        )

    published: ClassVar[PublishedSettings] = {("gta5_to_cityscapes", "daformer-mit_b5"): {}}
    resources: ClassVar[Resources] = Resources(memory=9.7)
