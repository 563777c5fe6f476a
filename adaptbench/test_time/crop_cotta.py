"""CoTTA in its form for segmentation: learns from two crops, and the teacher predicts the whole image afterwards."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from adaptbench.data.units import Length
from adaptbench.networks.inference import Size, resize
from adaptbench.test_time.decisions import Decisions, cut
from adaptbench.test_time.outcome import Outcome, Update
from adaptbench.test_time.restart import Restart
from adaptbench.test_time.trio import Trio, mean_confidence, soft_cross_entropy


class CropCottaSettings(BaseModel):
    """Settings of `CropCotta`; the defaults are those published for segmentation (CARLA, DeepLab-v2)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(2.5e-4, gt=0, description="of SGD")
    head_lr_factor: float = Field(10.0, gt=0, description="on the learning rate of the decoder")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(5e-4, ge=0, description="of SGD")
    average: float = Field(0.999, ge=0, le=1, description="share of the old teacher in the new one")
    restore: float = Field(0.01, ge=0, le=1, description="share of the student's values that go back")
    threshold: float = Field(
        0.9, description="confidence of the source network below which views are averaged"
    )
    scales: tuple[float, ...] = Field(
        (0.5, 0.75, 1.0, 1.25, 1.5, 1.75), min_length=1, description="of views, on half the crop"
    )
    crop_height: Length = Field(512, gt=0, description="of the two crops of a step")
    crop_width: Length = Field(1024, gt=0, description="of the two crops of a step")
    steps: int = Field(1, ge=1, description="per image")
    episodic: bool = Field(False, description="start every image from the source network")
    aligned: bool = Field(True, description="resize logits with aligned corners")


def parameter_groups(network: nn.Module, head: str, settings: CropCottaSettings) -> list[dict[str, object]]:
    """Everything that trains, in two groups of SGD: the encoder, and what has a name that starts with ``head``."""
    names = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    parts = [[n for n in names if not n.startswith(head)], [n for n in names if n.startswith(head)]]
    rates = (settings.learning_rate, settings.learning_rate * settings.head_lr_factor)
    return [
        {"params": [network.get_parameter(name) for name in part], "names": part, "lr": rate}
        for part, rate in zip(parts, rates, strict=True)
    ]


class CropCotta:
    """All networks are in training mode, with batch statistics of what they see; running statistics are not used.

    Args:
        network: the student. What is frozen in it stays frozen, as norms do in the published network.
        settings: of the method.
        head: with what the names of the decoder's parameters start.

    Source: code of test-time adaptation for segmentation; docs/quirks.md#t15, #t19 and #t23.
    """

    def __init__(self, network: nn.Module, settings: CropCottaSettings, head: str = "decode_head.") -> None:
        self.settings, self.trio = settings, Trio(network.train())
        self.optimizer = torch.optim.SGD(
            parameter_groups(network, head, settings),
            settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        self.restart = Restart(network, self.trio.teacher, self.optimizer)
        self._crop = (settings.crop_height, settings.crop_width)

    def __call__(self, image: Tensor, decisions: Decisions) -> Outcome:
        """Learns and predicts. Shape: ``(1, 3, H, W)`` to logits ``(1, C, H, W)``."""
        updates = self.learn(image, decisions)
        with torch.no_grad():
            return Outcome(self._logits(self.trio.teacher, image), updates)

    def learn(self, image: Tensor, decisions: Decisions) -> list[Update]:
        """The steps alone; the teacher then predicts the image in whatever way. Shape: ``(1, 3, H, W)``."""
        if self.settings.episodic:
            self.restart()
        return [self._step(image, decisions, step) for step in range(self.settings.steps)]

    def _step(self, image: Tensor, decisions: Decisions, step: int) -> Update:
        places = decisions.places(step, (image.shape[-2], image.shape[-1]), self._crop)
        crops = cut(image, places, self._crop)
        logits = self._logits(self.trio.student, crops)
        target, confidence, averaged = self._target(crops, decisions, step)
        loss = soft_cross_entropy(logits, target)
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.trio.finish(step, decisions, self.settings.average, self.settings.restore)
        return Update(loss.detach(), target, confidence, averaged)

    @torch.no_grad()
    def _target(self, crops: Tensor, decisions: Decisions, step: int) -> tuple[Tensor, Tensor, bool]:
        """Logits of the teacher; averaged over views where the source network is unsure of both crops together."""
        confidence = mean_confidence(self._logits(self.trio.source, crops))
        total = self._logits(self.trio.teacher, crops)
        if not confidence < self.settings.threshold:
            return total, confidence, False
        for number, scale in enumerate(self.settings.scales):
            total = total + self._view(crops, self._scaled(scale), decisions.mirrored(step, number))
        return total / (len(self.settings.scales) + 1), confidence, True

    def _scaled(self, scale: float) -> Size:
        """Size of a view: sides of half the crop, scaled and rounded down."""
        height, width = (int(scale * 0.5 * side) for side in self._crop)
        return height, width

    def _view(self, crops: Tensor, size: Size, mirrored: Tensor) -> Tensor:
        """Teacher logits of resized crops, some of them mirrored. Shape: ``(2, 3, h, w)`` to ``(2, C, h, w)``."""
        seen = _mirror(resize(crops, size, aligned=True), mirrored)
        logits = _mirror(self.trio.teacher(seen), mirrored)
        return resize(logits, self._crop, self.settings.aligned)

    def _logits(self, network: nn.Module, image: Tensor) -> Tensor:
        return resize(network(image), (image.shape[-2], image.shape[-1]), self.settings.aligned)


def _mirror(batch: Tensor, mirrored: Tensor) -> Tensor:
    return torch.where(mirrored.to(batch.device)[:, None, None, None], batch.flip(3), batch)
