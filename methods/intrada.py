"""IntraDA: adaptation from easy to hard target images (Pan et al., CVPR 2020).

The stages (sections of the paper):

1. AdvEnt from the source to the target: the very training of `methods/advent.py` (inter-domain, section 3.1).
2. Its network predicts the target's training images; the predictions are kept as pseudo-labels (section 3.2).
3. An image's score is the mean entropy of its pixels (equation 4).
4. Images are ranked by it, the least uncertain first.
5. The first `easy_share` of them are easy, the others hard.
6. AdvEnt once more, from easy images with their pseudo-labels to hard ones without (intra-domain, section 3.3).

Paper: 46.3 mIoU on GTA5 to Cityscapes (cityscapes19, val) with `easy_share` 0.67.

Quirks of the original release that are defaults:

- the last stage starts from ImageNet weights with new discriminators, not from the first stage's network (`start`);
- pseudo-labels are the likeliest classes at the size of the network's input, without threshold, and nothing is ignored;
- the share of easy images is rounded down; images of equal score keep their order (the original's is random);
- the last stage takes one iteration less than the first (`fewer_intra_iterations`).

The factor for rare classes makes images that show more of them *easier*. The original's switch for it takes any
word for yes, "False" included; here it is off unless asked for (`rare_class_factor`). The original ranks with the
snapshot that is best on target labels; here with the last iterate.

The stage of the last training keeps ``ranking.csv``, all images from the easiest to the hardest with what was noted
of them: mean self-information, rare classes, and the factor; and ``ranking.png``, which shows both ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from adaptbench.adaptation.entropy_ranking import (
    easy_count,
    ranked,
    rare_class_factor,
    rare_classes,
    seen_classes,
    uncertainty,
)
from adaptbench.contracts.labelling import Facts, Labeller, PseudoLabel, Trained
from adaptbench.contracts.method import LossGroup, PublishedSettings, Stage
from adaptbench.contracts.profiles import Iterations
from adaptbench.data.batch import Batch
from adaptbench.errors import DataError
from adaptbench.networks.inference import Size, Whole, predict, resized_argmax
from methods.advent import AdvEnt
from methods.minent import ORIGINAL


@dataclass(frozen=True)
class EntropyLabeller(Labeller):
    """The likeliest class of every pixel, and what the ranking needs to know of the image."""

    size: Literal["file", "input"] = "input"

    def label(self, method: Trained, image: Tensor, size: Size) -> PseudoLabel:
        """Labels one image; notes its mean self-information, rare classes and factor."""
        mode = method.inference()
        logits = predict(method.student, image, mode)
        aligned = isinstance(mode, Whole) and mode.aligned
        label = resized_argmax(logits, size, aligned=aligned)[0]  # 2
        rare = rare_classes(method.task.class_set)
        facts = {
            "information": uncertainty(logits),  # 3
            "rare": len(seen_classes(label) & rare),
            "factor": rare_class_factor(label, rare),
        }
        return PseudoLabel(label, facts)


class IntraDA(AdvEnt["IntraDA.Settings"]):
    """What the network is unsure of on the target is made to look like what it is sure of."""

    name = "intrada"
    title = "IntraDA"
    paper = "arXiv:2004.07703"
    tags = ("adversarial", "entropy", "self-training")

    @classmethod
    def stages(cls, settings: IntraDA.Settings) -> list[Stage]:
        """AdvEnt, the labels of its network, and AdvEnt from easy to hard images."""
        first = AdvEnt.Settings.taken_from(settings)
        shorter = max(settings.iterations - settings.fewer_intra_iterations, 0)
        last = settings.model_copy(update={"iterations": shorter})
        start = 0 if settings.start == "inter-domain" else None
        return [
            Stage("inter-domain", AdvEnt, first),  # 1
            Stage("ranking", AdvEnt, first, start=0, labeller=EntropyLabeller()),  # 2 to 5
            Stage("intra-domain", cls, last, start=start, labels=1),  # 6
        ]

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """As in AdvEnt; without hard images only that of the pseudo-labels."""
        if self.settings.easy_share < 1:
            yield from super().losses(batch)
        else:
            yield self.source_pass(batch)[0]

    @classmethod
    def partition(
        cls, settings: IntraDA.Settings, images: Mapping[str, Facts]
    ) -> tuple[list[str], list[str]]:
        """The easy images and the hard ones, in the order of the ranking.

        Where all are easy, they stand for the hard ones, too, from which nothing is learned then.

        Raises:
            DataError: there are too few images to make two parts.
        """
        scores = {name: score(facts, settings.rare_class_factor) for name, facts in images.items()}
        names = ranked(scores)  # 4
        if settings.easy_share == 1:
            return names, names
        count = easy_count(len(names), settings.easy_share)
        if not 0 < count < len(names):
            raise DataError(
                f"{len(names)} target images cannot be split into easy and hard ones with easy_share="
                f"{settings.easy_share}: {count} would be easy. Use more images, or another share."
            )
        return names[:count], names[count:]  # 5

    class Settings(AdvEnt.Settings):
        """Settings of the stages; all that is not named here holds for both trainings."""

        fewer_intra_iterations: Iterations = Field(
            1, ge=0, description="iterations by which the intra-domain training is shorter than the other"
        )
        easy_share: float = Field(
            0.67,
            gt=0,
            le=1,
            description="share of the target's images that are easy (lambda); 1 = self-training alone",
        )
        rare_class_factor: bool = Field(
            False, description="whether images that show rare classes count as easier"
        )
        start: Literal["pretrained", "inter-domain"] = Field(
            "pretrained", description="what the intra-domain training starts from"
        )

    published: ClassVar[PublishedSettings] = {("gta5_to_cityscapes", "deeplabv2-multi-r101"): ORIGINAL}


def score(facts: Facts, with_factor: bool) -> float:
    """By what an image is ranked: its mean self-information, with or without the factor for rare classes."""
    return facts["information"] * (facts["factor"] if with_factor else 1.0)
