"""CoTTA's three networks: the student, its averaged teacher, and the source network to which values go back."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from adaptbench.adaptation.ema import average_parameters
from adaptbench.test_time.decisions import Decisions
from adaptbench.test_time.updated import weights_and_biases


class Trio:
    """The student is the given network; the others are copies in the same mode.

    Source: CoTTA, arXiv 2203.13591, section 3.
    """

    def __init__(self, student: nn.Module) -> None:
        self.student = student
        self.teacher = copy.deepcopy(student).requires_grad_(False)
        self.source = copy.deepcopy(student).requires_grad_(False)

    def finish(self, step: int, decisions: Decisions, average: float, restore: float) -> None:
        """After a step: the teacher follows with all parameters, and only then values of the student go back.

        Source: CoTTA, arXiv 2203.13591, equations 2 and 7 to 8; docs/quirks.md#t20 to #t22.
        """
        average_parameters(self.teacher, self.student, average)
        self._restore(step, decisions, restore)

    @torch.no_grad()
    def _restore(self, step: int, decisions: Decisions, share: float) -> None:
        for name, value in weights_and_biases(self.student).items():
            mask = decisions.restored(step, name, value, share)
            value.copy_(torch.where(mask, self.source.get_parameter(name), value))


def mean_confidence(logits: Tensor) -> Tensor:
    """Mean of the largest class probability over batch and pixels. Shape: ``(B, C, H, W)`` to a scalar."""
    return logits.softmax(dim=1).amax(dim=1).mean()


def soft_cross_entropy(student: Tensor, target: Tensor) -> Tensor:
    """Cross entropy between the probabilities of a target and of the student, mean over batch and pixels.

    Shape: logits ``(B, C, H, W)`` each, to a scalar.

    Source: CoTTA, arXiv 2203.13591, equation 1.
    """
    return -(target.softmax(dim=1) * student.log_softmax(dim=1)).sum(dim=1).mean()


def symmetric_cross_entropy(student: Tensor, target: Tensor) -> Tensor:
    """The mean of both directions of `soft_cross_entropy`, as for ImageNet; docs/quirks.md#t18."""
    return 0.5 * soft_cross_entropy(student, target) + 0.5 * soft_cross_entropy(target, student)
