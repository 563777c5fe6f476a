"""Views of training images: colour jitter as torchvision does it, then a blur, decided for every image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from adaptbench.adaptation.color_jitter import JitterStrength, factor_range
from adaptbench.adaptation.gaussian_blur import SIGMA_RANGE, draw_sigma, gaussian_blur
from adaptbench.data.image_jitter import STEPS
from adaptbench.data.normalisation import Normalisation


@dataclass(frozen=True)
class Colours:
    """The random part of a colour jitter.

    Attributes:
        amounts: factors on brightness, contrast and saturation, and shift of the hue in turns.
        order: of the operations; 0 brightness, 1 contrast, 2 saturation, 3 hue.
    """

    amounts: tuple[float, float, float, float]
    order: tuple[int, ...]


@dataclass(frozen=True)
class View:
    """The random part of a view: a colour jitter, and the width of a blur in pixels; None = neither."""

    colours: Colours | None = None
    sigma: float | None = None


@dataclass(frozen=True)
class ViewKind:
    """How often and how far images are changed.

    Attributes:
        jitter: how far colours move.
        jittered: share of the images whose colours do.
        blurred: share of those that are blurred.
        widths: range of the blur. Units: pixels.
    """

    jitter: JitterStrength
    jittered: float
    blurred: float = 0.0
    widths: tuple[float, float] = SIGMA_RANGE

    def draw(self, rng: np.random.Generator) -> View:
        """Draws a view."""
        colours = _draw_colours(self.jitter, rng) if rng.random() < self.jittered else None
        sigma = draw_sigma(rng, self.widths) if rng.random() < self.blurred else None
        return View(colours, sigma)


def viewed(image: Tensor, views: Sequence[View], values: Normalisation, side: int | None = None) -> Tensor:
    """Every image as its own view shows it.

    Contrast and saturation blend with grey, and every step is limited to what an image can show. ``side`` is that of
    the image which the blur is for, in pixels; None = its own.

    Shape: float ``(B, 3, H, W)``, normalised with ``values``, unchanged.

    Source: VFM-UDA, arXiv 2406.09896; docs/quirks.md#v12.
    """
    mean, std = (torch.as_tensor(part).to(image).view(-1, 1, 1) / 255 for part in (values.mean, values.std))
    shown = [
        image[i] if view == View() else (_shown(values, image[i] * std + mean, view, side) - mean) / std
        for i, view in enumerate(views)
    ]
    return torch.stack(shown)


def _shown(values: Normalisation, levels: Tensor, view: View, side: int | None) -> Tensor:
    """One view of one image. Shape: float ``(3, H, W)`` in [0, 1], unchanged."""
    rgb = values.swapped(levels[None])
    if view.colours is not None:
        for step in view.colours.order:
            rgb = STEPS[step](rgb, view.colours.amounts[step])
    if view.sigma is not None:
        rgb = gaussian_blur(rgb, view.sigma, side)
    return values.swapped(rgb)[0]


def _draw_colours(strength: JitterStrength, rng: np.random.Generator) -> Colours:
    factors = (strength.brightness, strength.contrast, strength.saturation)
    brightness, contrast, saturation = (float(rng.uniform(*factor_range(one))) for one in factors)
    hue = float(rng.uniform(-strength.hue, strength.hue))
    order = tuple(int(step) for step in rng.permutation(len(STEPS)))
    return Colours((brightness, contrast, saturation, hue), order)
