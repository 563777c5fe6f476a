"""What a method of test-time adaptation gives back for an image."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Update(NamedTuple):
    """One step on an image.

    Attributes:
        loss: of the step. Shape: scalar, without gradients.
        target: what the student learned, of methods with a teacher: logits, or a label map.
        confidence: mean of the source network's largest probabilities, where one decides about a target.
        averaged: whether the target is an average over several views.
    """

    loss: Tensor
    target: Tensor | None = None
    confidence: Tensor | None = None
    averaged: bool = False


class Outcome(NamedTuple):
    """The prediction for an image, logits or a label map, and the steps that were made on it."""

    prediction: Tensor
    updates: list[Update]
