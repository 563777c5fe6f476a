"""The discriminator of FADA: to which class of which domain does a pixel belong?"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Which half of a discriminator's channels a pixel belongs to.
DomainHalf: TypeAlias = Literal["source", "target"]
#: What a half distinguishes: nothing but the domain, the predicted class, or all classes by their probability.
Alignment: TypeAlias = Literal["binary", "hard", "soft"]

_SLOPE = 0.2


class ClassDiscriminator(nn.Module):
    """Two 3x3 convolutions with leaky ReLU and one per half: a score per domain, class and cell, without activation.

    The first convolution has ``width`` channels; the second halves them.

    Source: Wang et al., FADA, arXiv 2007.09222, section 3.2.
    """

    def __init__(self, in_channels: int, num_classes: int, width: int = 256) -> None:
        super().__init__()
        self.D = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1),
            nn.LeakyReLU(_SLOPE, inplace=True),
            nn.Conv2d(width, width // 2, 3, padding=1),
            nn.LeakyReLU(_SLOPE, inplace=True),
        )
        self.cls1 = nn.Conv2d(width // 2, num_classes, 3, padding=1)
        self.cls2 = nn.Conv2d(width // 2, num_classes, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Scores, source half first. Shape: ``(B, in_channels, h, w)`` to ``(B, 2 * num_classes, h, w)``."""
        hidden = self.D(features)
        return torch.cat([self.cls1(hidden), self.cls2(hidden)], dim=1)


def class_label(logits: Tensor, alignment: Alignment, clip: float | None) -> Tensor:
    """Return the class label that a discriminator learns besides the domain of a pixel, without gradient.

    It is ``soft``, the class probabilities, ``hard``, the most likely class, or ``binary``, a single 1.
    Probabilities above ``clip`` are set to it, and nothing is normalised again.

    Shape: logits at the size of the image, divided by the temperature, float (B, C, H, W), to the same or
    (B, 1, H, W) if binary; 0..1.

    Source: FADA, arXiv 2007.09222, equations 6 and 7; its code for the clipping.
    """
    logits = logits.detach()
    if alignment == "binary":
        return torch.ones_like(logits[:, :1])
    if alignment == "hard":
        return functional.one_hot(logits.argmax(dim=1), logits.shape[1]).movedim(-1, 1).to(logits.dtype)
    probability = logits.softmax(dim=1)
    return probability if clip is None else probability.clamp(max=clip)


def domain_cross_entropy(
    scores: Tensor, label: Tensor, half: DomainHalf, weight: Tensor | None = None
) -> Tensor:
    """Return the cross entropy between a discriminator's scores and a class label in one half of the channels.

    Shape: scores float (B, 2 * C, H, W), source half first; label float (B, C, H, W), not necessarily adding
    up to 1; weight of every pixel float (B, H, W); to a scalar, averaged over all pixels.

    Raises:
        ValueError: shapes do not fit together.

    Source: FADA, arXiv 2007.09222, equations 4 and 5.
    """
    if scores.shape != (label.shape[0], 2 * label.shape[1], *label.shape[2:]):
        raise ValueError(
            f"expected twice as many scores as labels, got {tuple(scores.shape)}, {tuple(label.shape)}"
        )
    halves = scores.log_softmax(dim=1).chunk(2, dim=1)
    loss = -(label * halves[0 if half == "source" else 1]).sum(dim=1)
    return loss.mean() if weight is None else (loss * weight).mean()
