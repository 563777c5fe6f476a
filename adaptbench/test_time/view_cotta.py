"""CoTTA as it is used for Cityscapes to ACDC: hard labels of many views, mixed pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn

from adaptbench.adaptation.seg_loss import weighted_cross_entropy
from adaptbench.errors import UsageError
from adaptbench.networks.inference import Mode, Size, probability
from adaptbench.test_time.decisions import Decisions
from adaptbench.test_time.outcome import Outcome, Update
from adaptbench.test_time.trio import Trio

#: The view whose confidence decides: ratio 1, not mirrored, of the published views.
_PLAIN = 4
#: With fewer views than the published ones, the student sees the first.
_ALL = 14


class ViewCottaSettings(BaseModel):
    """Settings of `ViewCotta`; the defaults are those published for Cityscapes to ACDC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(7.5e-6, gt=0, description="of Adam: 6e-5 for a batch of 8, by 8")
    average: float = Field(0.999, ge=0, le=1, description="share of the old teacher in the new one")
    restore: float = Field(0.01, ge=0, le=1, description="share of the student's values that go back")
    threshold: float = Field(
        0.69, description="probability of the source network above which one view is believed"
    )
    ratios: tuple[float, ...] = Field(
        (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0), min_length=3, description="of views, on the image"
    )

    @field_validator("ratios")
    @classmethod
    def _third_is_one(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        if ratios[_PLAIN // 2] != 1:
            raise ValueError("the third ratio must be 1: that view decides which label is believed")
        return ratios


class View(NamedTuple):
    """An image as the networks see it, and whether it is mirrored. Shape: ``(1, 3, h, w)``."""

    image: Tensor
    mirrored: bool


def plain_and_mirrored(images: Sequence[Tensor]) -> list[View]:
    """Each image and its mirror image, in the published order: ratio by ratio. Shape: ``(1, 3, h, w)`` each."""
    return [view for image in images for view in (View(image, False), View(image.flip(3), True))]


class ViewCotta:
    """All networks are in evaluation mode, with the source's running statistics; a step sees the view of ratio 1.

    Args:
        network: the student; what is frozen in it stays frozen.
        settings: of the method.
        mode: how a network sees a view that it predicts; published: windows of 1024, 768 apart.

    Source: code of CoTTA for ACDC, arXiv 2203.13591; docs/quirks.md#t15, #t16 and #t25.
    """

    def __init__(self, network: nn.Module, settings: ViewCottaSettings, mode: Mode) -> None:
        self.trio, self.settings, self.mode = Trio(network.eval()), settings, mode
        self.renew()

    def renew(self) -> None:
        """A new optimiser: moments are zero again. The published code does so for every condition."""
        trained = [parameter for parameter in self.trio.student.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(trained, self.settings.learning_rate)

    def __call__(self, views: Sequence[View], size: Size, decisions: Decisions) -> Outcome:
        """Predicts, then learns.

        Shape: views to a label map ``(*size,)`` int64.

        Raises:
            UsageError: there are fewer than five views.
        """
        if len(views) <= _PLAIN:
            raise UsageError(f"CoTTA for ACDC needs {_PLAIN + 1} views or more, got {len(views)}.")
        label = self.label(views, size)
        seen = views[_PLAIN if len(views) >= _ALL else 0].image
        loss = weighted_cross_entropy(self.trio.student(seen), label[None])
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.trio.finish(0, decisions, self.settings.average, self.settings.restore)
        return Outcome(label, [Update(loss.detach(), label)])

    @torch.no_grad()
    def label(self, views: Sequence[View], size: Size) -> Tensor:
        """The teacher's label by one view where the source network is sure, else by all. Shape: int64 ``(*size,)``."""
        sure = self.source_confidence(views, size) > self.settings.threshold
        return torch.where(sure, self.single_label(views, size), self.averaged_label(views, size))

    def source_confidence(self, views: Sequence[View], size: Size) -> Tensor:
        """The source network's largest probability in the view of ratio 1. Shape: ``(*size,)``."""
        return self._probability(self.trio.source, views[_PLAIN], size).amax(dim=0)

    def single_label(self, views: Sequence[View], size: Size) -> Tensor:
        """The teacher's most likely classes in the view of ratio 1. Shape: int64 ``(*size,)``."""
        return self._probability(self.trio.teacher, views[_PLAIN], size).argmax(dim=0)

    def averaged_label(self, views: Sequence[View], size: Size) -> Tensor:
        """The most likely classes by the mean of the teacher's probabilities. Shape: int64 ``(*size,)``."""
        maps = [self._probability(self.trio.teacher, view, size) for view in views]
        return torch.stack(maps).mean(dim=0).argmax(dim=0)

    def _probability(self, network: nn.Module, view: View, size: Size) -> Tensor:
        found = probability(network, view.image, self.mode, size)
        return found.flip(2) if view.mirrored else found
