"""The strong augmentation of mixed images: colour jitter, then blur."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from adaptbench.adaptation.color_jitter import (
    ChannelValues,
    JitterDraw,
    JitterStrength,
    color_jitter,
    draw_jitter,
)
from adaptbench.adaptation.gaussian_blur import SIGMA_RANGE, draw_sigma, gaussian_blur


@dataclass(frozen=True, eq=False)
class AugmentDraw:
    """The random part of one strong augmentation: a colour jitter and the width of a blur in pixels, if any."""

    jitter: JitterDraw | None = None
    sigma: float | None = None


def draw_augment(
    batch: int,
    jitter: JitterStrength | float | None,
    blur: bool,
    torch_generator: torch.Generator,
    numpy_generator: np.random.Generator,
    widths: tuple[float, float] = SIGMA_RANGE,
) -> AugmentDraw:
    """Draw one augmentation for images that share the order of the jitter and the width of the blur.

    That is 1 image in class mixing, the whole batch for the masked images of MIC. Whether they are jittered
    and blurred is decided before, see `jitter_applies` and `blur_applies`.

    Units: ``widths``, the range of the blur, in pixels.

    Source: docs/quirks.md#s37, #s40 and #s53.
    """
    return AugmentDraw(
        jitter=None if jitter is None else draw_jitter(jitter, batch, torch_generator),
        sigma=draw_sigma(numpy_generator, widths) if blur else None,
    )


def augment(image: Tensor, draw: AugmentDraw, mean: ChannelValues, std: ChannelValues) -> Tensor:
    """Apply one draw to all images: first the jitter, then the blur.

    Shape: float (B, 3, H, W), normalised RGB, unchanged; mean and std in grey levels 0..255.

    Source: DACS, arXiv 2007.08702, section 4.1; docs/quirks.md#s37 to #s39.
    """
    if draw.jitter is not None:
        image = color_jitter(image, draw.jitter, mean, std)
    if draw.sigma is not None:
        image = gaussian_blur(image, draw.sigma)
    return image


def strong_augment(
    images: Tensor, draws: Sequence[AugmentDraw], mean: ChannelValues, std: ChannelValues
) -> Tensor:
    """Apply its own draw to every image, as done with mixed images. Labels and weights stay as they are.

    Shape: see `augment`.

    Raises:
        ValueError: the number of draws differs from the number of images.

    Source: DACS, arXiv 2007.08702, section 4.1; docs/quirks.md#s37.
    """
    if len(draws) != images.shape[0]:
        raise ValueError(f"draws: expected one for each of {images.shape[0]} images, got {len(draws)}")
    return torch.cat([augment(images[i : i + 1], draw, mean, std) for i, draw in enumerate(draws)])
