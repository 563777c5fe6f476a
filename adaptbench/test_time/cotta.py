"""CoTTA in its official form, for classification: predictions are targets, made before the step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.optim import Optimizer

from adaptbench.test_time.decisions import Decisions
from adaptbench.test_time.norm_statistics import remove_statistics
from adaptbench.test_time.outcome import Outcome, Update
from adaptbench.test_time.restart import Restart
from adaptbench.test_time.trio import Trio, mean_confidence, soft_cross_entropy, symmetric_cross_entropy
from adaptbench.test_time.updated import weights_and_biases

#: Another view of an image; the second argument counts the views.
Augment = Callable[[Tensor, int], Tensor]


class CottaSettings(BaseModel):
    """Settings of `Cotta`; the defaults are those published for CIFAR-10-C."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    average: float = Field(0.999, ge=0, le=1, description="share of the old teacher in the new one")
    restore: float = Field(0.01, ge=0, le=1, description="share of the student's values that go back")
    threshold: float = Field(
        0.92, description="confidence of the source network below which views are averaged"
    )
    augmentations: int = Field(32, ge=1, description="views of the teacher")
    symmetric: bool = Field(False, description="loss in both directions, as for ImageNet")
    always: bool = Field(
        True, description="make all views, used or not, as for CIFAR; the numbers are the same"
    )
    steps: int = Field(1, ge=1, description="per image")
    episodic: bool = Field(False, description="start every image from the source network")


def official_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Prepares a network as the official code, and gives what it trains: all weights and biases.

    Everything is in training mode, and batch norms use batch statistics.

    Source: code of CoTTA; docs/quirks.md#t21 and #t23.
    """
    network.train().requires_grad_(True)
    remove_statistics(network)
    return list(weights_and_biases(network).values())


class Cotta:
    """Where the source network is unsure, the target is the mean of augmented teacher logits, without the plain ones.

    Args:
        network: the student, prepared by `official_parameters`.
        optimizer: of what it gives.
        settings: of the method.
        augment: makes the views.

    Source: CoTTA, arXiv 2203.13591, algorithm 1; docs/quirks.md#t15, #t16 and #t19.
    """

    def __init__(
        self, network: nn.Module, optimizer: Optimizer, settings: CottaSettings, augment: Augment
    ) -> None:
        self.trio, self.optimizer, self.settings, self.augment = Trio(network), optimizer, settings, augment
        self.restart = Restart(network, self.trio.teacher, optimizer)
        self._loss = symmetric_cross_entropy if settings.symmetric else soft_cross_entropy

    def __call__(self, image: Tensor, decisions: Decisions) -> Outcome:
        """Predicts and learns. Shape: ``(B, 3, H, W)`` to logits ``(B, C, h, w)`` as the network gives them."""
        if self.settings.episodic:
            self.restart()
        steps = [self._step(image, decisions, step) for step in range(self.settings.steps)]
        return Outcome(steps[-1][0], [update for _, update in steps])

    def _step(self, image: Tensor, decisions: Decisions, step: int) -> tuple[Tensor, Update]:
        logits = self.trio.student(image)
        target, confidence, averaged = self._target(image)
        loss = self._loss(logits, target)
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.trio.finish(step, decisions, self.settings.average, self.settings.restore)
        return target, Update(loss.detach(), target, confidence, averaged)

    @torch.no_grad()
    def _target(self, image: Tensor) -> tuple[Tensor, Tensor, bool]:
        confidence = mean_confidence(self.trio.source(image))
        plain: Tensor = self.trio.teacher(image)
        unsure = bool(confidence < self.settings.threshold)
        if not (unsure or self.settings.always):
            return plain, confidence, False
        views = [self.augment(image, number) for number in range(self.settings.augmentations)]
        average = torch.stack([self.trio.teacher(view) for view in views]).mean(dim=0)
        return (average if unsure else plain), confidence, unsure
