"""Colour jitter of images as torchvision does it: brightness, contrast, saturation and hue in random order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from torchvision.transforms import functional

UInt8 = npt.NDArray[np.uint8]

#: Brightness, contrast, saturation and hue; of images of Pillow and of tensors in [0, 1].
STEPS = (
    functional.adjust_brightness,
    functional.adjust_contrast,
    functional.adjust_saturation,
    functional.adjust_hue,
)


@dataclass(frozen=True)
class Jitter:
    """How far colours are jittered: deviation of the factors from 1, and shift as a share of the colour circle.

    Source: configurations of FADA, arXiv 2007.09222; docs/quirks.md#a8.
    """

    brightness: float = 0.5
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.2


@dataclass(frozen=True)
class DrawnJitter:
    """The random part of a jitter.

    Attributes:
        order: the numbers of the four steps, in the order in which they are applied.
        amounts: factor on brightness, contrast and saturation, and shift of the hue.
    """

    order: tuple[int, ...]
    amounts: tuple[float, float, float, float]


def draw_jitter(jitter: Jitter, rng: np.random.Generator) -> DrawnJitter:
    """Draws the order and the amounts of a jitter."""
    order = tuple(int(step) for step in rng.permutation(len(STEPS)))
    spread = (jitter.brightness, jitter.contrast, jitter.saturation)
    brightness, contrast, saturation = (float(rng.uniform(1 - d, 1 + d)) for d in spread)
    hue = float(rng.uniform(-jitter.hue, jitter.hue))
    return DrawnJitter(order, (brightness, contrast, saturation, hue))


def apply_jitter(image: UInt8, drawn: DrawnJitter) -> UInt8:
    """The jittered image. Shape: ``(H, W, 3)`` RGB uint8, unchanged."""
    frame = Image.fromarray(np.ascontiguousarray(image))
    for step in drawn.order:
        frame = STEPS[step](frame, drawn.amounts[step])
    return np.asarray(frame)
