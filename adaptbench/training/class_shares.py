"""Which classes a teacher sees: from its pseudo-labels alone, never from target labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from adaptbench.records.pseudo_labels import CONFIDENT_SHARE, SHARE
from adaptbench.training.watch import Shown, Watch


def class_shares(label: Tensor, confident: Tensor, classes: int) -> dict[str, Tensor]:
    """Share of all pixels that are labelled with a class, and that are labelled with it confidently.

    Shape:
        - label: integer, any shape, 0..classes-1; 255 = ignore.
        - confident: bool, as label.
        - returns: two float32 vectors ``(classes,)``. The first sums to the share of pixels with a label (1 for a
          teacher that labels all), the second to the share of those that are confident.
    """
    counts = torch.bincount((label.long() * 2 + confident).flatten(), minlength=512)
    shares = (counts.view(256, 2)[:classes].double() / label.numel()).float()
    return {SHARE: shares.sum(dim=1), CONFIDENT_SHARE: shares[:, 1]}


class ClassShares(Watch):
    """Adds the `class_shares` of the pseudo-labels to what is logged, where a method shows any."""

    def use(self, runner: Any, batch: Any, log: dict[str, Tensor], shown: Shown) -> None:
        """One small vector of counts is made on the device, in the iterations that are logged."""
        pseudo = shown.get("pseudo", {})
        if "label" in pseudo and "confident" in pseudo:
            log.update(class_shares(pseudo["label"], pseudo["confident"], len(runner.model.task.class_set)))
