"""TENT: the norms of a network learn to be certain, by the entropy of its own predictions."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.optim import Optimizer

from adaptbench.data.units import Length
from adaptbench.networks.inference import resize
from adaptbench.test_time.decisions import Decisions, cut
from adaptbench.test_time.norm_statistics import remove_statistics
from adaptbench.test_time.outcome import Outcome, Update
from adaptbench.test_time.restart import Restart
from adaptbench.test_time.updated import ALL_NORMS, train_norms


class TentSettings(BaseModel):
    """Settings of `CropTent`; the defaults are those published for segmentation (CARLA, DeepLab-v2)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(2.5e-4, gt=0, description="of SGD")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(5e-4, ge=0, description="pulls weights and biases of norms towards zero")
    crop_height: Length = Field(512, gt=0, description="of the two crops of a step")
    crop_width: Length = Field(1024, gt=0, description="of the two crops of a step")
    steps: int = Field(1, ge=1, description="per image")
    episodic: bool = Field(True, description="start every image from the source network, with no momentum")
    aligned: bool = Field(True, description="resize logits with aligned corners")


def softmax_entropy(logits: Tensor) -> Tensor:
    """Entropy of the class probabilities, mean over batch and pixels. Units: nats.

    Shape: ``(B, C, H, W)`` to a scalar.

    Source: TENT, arXiv 2006.10726, section 3.1; docs/quirks.md#t2.
    """
    return -(logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1).mean()


def official_norms(network: nn.Module) -> list[nn.Parameter]:
    """Prepares a network as the official code: training mode, batch norms by batch statistics train, nothing else.

    Raises:
        UsageError: it has no batch norm with weights.

    Source: code of TENT; docs/quirks.md#t3 and #t4.
    """
    network.train()
    trained = train_norms(network)
    remove_statistics(network)
    return list(trained.values())


def all_norms(network: nn.Module) -> list[nn.Parameter]:
    """Prepares a network as the code for classification: evaluation mode, norms of every kind train.

    Two-dimensional batch norms use batch statistics all the same; one-dimensional ones are in training mode.

    Raises:
        UsageError: it has no norm with weights.

    Source: docs/quirks.md#t4 and #t5.
    """
    network.eval()
    trained = train_norms(network, ALL_NORMS)
    remove_statistics(network)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.train()
    return list(trained.values())


class Tent:
    """The official form: predicts with the pass of which the step is made, so before the step.

    Args:
        network: prepared by `official_norms` or `all_norms`.
        optimizer: of what they give.
        steps: per image; the prediction is that of the last.
        episodic: start every image from the state of now.
        reset_after: updates after which everything starts anew, even between two steps of an image; 0 = never.

    Source: TENT, arXiv 2006.10726; docs/quirks.md#t1 and #t10.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        steps: int = 1,
        episodic: bool = False,
        reset_after: int = 0,
    ) -> None:
        self.network, self.optimizer = network, optimizer
        self.steps, self.episodic, self.reset_after = steps, episodic, reset_after
        self.restart = Restart(network, optimizer)
        self._made = 0

    def __call__(self, image: Tensor) -> Outcome:
        """Predicts and learns. Shape: ``(B, 3, H, W)`` to logits ``(B, C, h, w)`` as the network gives them."""
        if self.episodic:
            self.restart()
        steps = [self._step(image) for _ in range(self.steps)]
        return Outcome(steps[-1][0], [update for _, update in steps])

    def _step(self, image: Tensor) -> tuple[Tensor, Update]:
        logits: Tensor = self.network(image)
        loss = softmax_entropy(logits)
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._made += 1
        if self.reset_after and self._made % self.reset_after == 0:
            self.restart()
        return logits.detach(), Update(loss.detach())


class CropTent:
    """The form for segmentation: learns from two crops of an image, and predicts the whole of it afterwards.

    The network is prepared by `official_norms`, and trained in place.

    Raises:
        UsageError: it has no batch norm with weights.

    Source: code of test-time adaptation for segmentation; docs/quirks.md#t1 and #t7.
    """

    def __init__(self, network: nn.Module, settings: TentSettings) -> None:
        self.network, self.settings = network, settings
        self.optimizer = torch.optim.SGD(
            official_norms(network),
            settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        self.restart = Restart(network, self.optimizer)

    def __call__(self, image: Tensor, decisions: Decisions) -> Outcome:
        """Learns and predicts. Shape: ``(1, 3, H, W)`` to logits ``(1, C, H, W)``."""
        updates = self.learn(image, decisions)
        with torch.no_grad():
            return Outcome(self._logits(image), updates)

    def learn(self, image: Tensor, decisions: Decisions) -> list[Update]:
        """The steps alone; the network then predicts the image in whatever way. Shape: ``(1, 3, H, W)``."""
        if self.settings.episodic:
            self.restart()
        return [self._step(image, decisions, step) for step in range(self.settings.steps)]

    def _step(self, image: Tensor, decisions: Decisions, step: int) -> Update:
        crop = (self.settings.crop_height, self.settings.crop_width)
        places = decisions.places(step, (image.shape[-2], image.shape[-1]), crop)
        self.optimizer.zero_grad()
        loss = softmax_entropy(self._logits(cut(image, places, crop)))
        torch.autograd.backward(loss)
        self.optimizer.step()
        return Update(loss.detach())

    def _logits(self, image: Tensor) -> Tensor:
        return resize(self.network(image), (image.shape[-2], image.shape[-1]), self.settings.aligned)
