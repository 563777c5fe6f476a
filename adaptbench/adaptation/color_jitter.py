"""Colour jitter as the papers' augmentation library computed it (kornia 0.5), on normalised images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ChannelValues = Tensor | Sequence[float]
"""One value per colour channel (R, G, B)."""

_MAX_HUE = 0.5
_SATURATION_EPSILON = 1e-6


@dataclass(frozen=True)
class JitterStrength:
    """How far each property may move. Factors are uniform in [max(0, 1-s), 1+s], the hue shift in [-s, s].

    Units: brightness in parts of full white, contrast and saturation as factors, hue in turns.

    Raises:
        ValueError: a strength is negative or the hue exceeds half a turn.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        if min(self.brightness, self.contrast, self.saturation, self.hue) < 0 or self.hue > _MAX_HUE:
            raise ValueError(f"expected strengths of 0 or more and a hue of at most {_MAX_HUE}, got {self}")

    @classmethod
    def uniform(cls, strength: float) -> JitterStrength:
        """Return the same strength for all four properties (0.2 in the papers)."""
        return cls(strength, strength, strength, strength)


@dataclass(frozen=True, eq=False)
class JitterDraw:
    """The random part of a colour jitter.

    Shape:
        - brightness, contrast, saturation: float32 (B,), 0 or more, 1 = unchanged.
        - hue: float32 (B,), turns, -0.5..0.5, 0 = unchanged.
        - order: of the operations on all B images; 0 brightness, 1 contrast, 2 saturation, 3 hue.

    Raises:
        ValueError: the order is not a permutation of 0..3.
    """

    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    order: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the order."""
        if sorted(self.order) != [0, 1, 2, 3]:
            raise ValueError(f"order: expected a permutation of 0..3, got {self.order}")


def factor_range(strength: float) -> tuple[float, float]:
    """Return the range of a brightness, contrast or saturation factor.

    Source: docs/quirks.md#s38.
    """
    return max(0.0, 1.0 - strength), 1.0 + strength


def draw_jitter(strength: float | JitterStrength, batch: int, generator: torch.Generator) -> JitterDraw:
    """Draw jitter factors for every image and one order for all: brightness, contrast, hue, saturation, order.

    Class mixing draws for one image at a time.

    Source: DAFormer, arXiv 2111.14887, section 4.1; docs/quirks.md#s37, #s38 and #s53.
    """
    limits = strength if isinstance(strength, JitterStrength) else JitterStrength.uniform(strength)
    brightness = _uniform(factor_range(limits.brightness), batch, generator)
    contrast = _uniform(factor_range(limits.contrast), batch, generator)
    hue = _uniform((-limits.hue, limits.hue), batch, generator)
    saturation = _uniform(factor_range(limits.saturation), batch, generator)
    order = torch.randperm(4, generator=generator, device=generator.device)
    return JitterDraw(brightness, contrast, saturation, hue, tuple(order.tolist()))


def jitter_applies(draw: float, probability: float) -> bool:
    """Decide whether images are jittered: only if the draw (uniform in 0..1) is GREATER than the parameter.

    The published parameter 0.2 therefore jitters 80 percent of the batches.

    Source: docs/quirks.md#s37.
    """
    return draw > probability


def color_jitter(image: Tensor, draw: JitterDraw, mean: ChannelValues, std: ChannelValues) -> Tensor:
    """Jitter brightness, contrast, saturation and hue of normalised RGB images.

    Brightness is additive, contrast multiplies without subtracting a mean, saturation and hue work in HSV.

    Shape: float (B, 3, H, W), (grey level - mean) / std with both in grey levels 0..255, to the same, every
    channel clamped to the grey levels 0..255.

    Raises:
        ValueError: the images are not (B, 3, H, W) or the factors are not one per image.

    Source: DACS, arXiv 2007.08702, section 4.1; docs/quirks.md#s38.
    """
    if image.dim() != 4 or image.shape[1] != 3:
        raise ValueError(f"image: expected (B, 3, H, W), got shape {tuple(image.shape)}")
    factors = [
        _per_image(value, image) for value in (draw.brightness, draw.contrast, draw.saturation, draw.hue)
    ]
    mean, std = _per_channel(mean, image), _per_channel(std, image)
    rgb = (image * std).add_(mean).div_(255.0)
    for operation in draw.order:
        rgb = _OPERATIONS[operation](rgb, factors[operation])
    return rgb.mul_(255.0).sub_(mean).div_(std)


def adjust_brightness(rgb: Tensor, factor: Tensor) -> Tensor:
    """Add (factor - 1) and clamp to 0..1. `Shape:` rgb (B, 3, H, W) in 0..1; factor (B, 1, 1, 1)."""
    return (rgb + (factor - 1.0)).clamp_(0.0, 1.0)


def adjust_contrast(rgb: Tensor, factor: Tensor) -> Tensor:
    """Multiply by the factor and clamp to 0..1. `Shape:` rgb (B, 3, H, W) in 0..1; factor (B, 1, 1, 1)."""
    return (rgb * factor).clamp_(0.0, 1.0)


def adjust_saturation(rgb: Tensor, factor: Tensor) -> Tensor:
    """Multiply the HSV saturation, limited to 1, at constant hue and value.

    With v = max, d = max - min, s = d / (v + 1e-6) and s' = min(s * factor, 1), each channel c becomes
    v * (1 - s' * (v - c) / d). That is the HSV round trip without ever computing the hue.

    Shape: float (B, 3, H, W) in 0..1, unchanged; factor (B, 1, 1, 1), 0 or more.
    """
    value = rgb.amax(dim=1, keepdim=True)
    span = value - rgb.amin(dim=1, keepdim=True)
    # s' / d; at a grey pixel the span is 0, value - rgb is 0 as well, and any finite number will do.
    per_span = torch.minimum(factor / (value + _SATURATION_EPSILON), span.reciprocal())
    return value - (value - rgb).mul_(per_span.mul_(value))


def adjust_hue(rgb: Tensor, turns: Tensor) -> Tensor:
    """Turn the HSV hue at constant saturation and value.

    Shape: float (B, 3, H, W) in 0..1, unchanged; (B, 1, 1, 1), parts of a full turn.
    """
    red, green, blue = rgb[:, 0:1], rgb[:, 1:2], rgb[:, 2:3]
    value = rgb.amax(dim=1, keepdim=True)
    span = value - rgb.amin(dim=1, keepdim=True)
    per_span = span.clamp_min(torch.finfo(rgb.dtype).tiny).reciprocal_()  # finite at grey pixels
    # The hue in sixths of a turn: red 0, green 2, blue 4.
    green_or_blue = torch.where(value == green, (blue - red) * per_span + 2.0, (red - green) * per_span + 4.0)
    sextant = torch.where(value == red, (green - blue) * per_span, green_or_blue) + 6.0 * turns
    chroma = value * (span / (value + _SATURATION_EPSILON))
    return torch.cat([value - chroma * _distance(sextant, offset) for offset in (5.0, 3.0, 1.0)], dim=1)


def _distance(sextant: Tensor, offset: float) -> Tensor:
    """How far, in parts of the chroma, a channel lies below the brightest one at a given hue."""
    position = (sextant + offset).remainder_(6.0)
    return torch.minimum(position, 4.0 - position).clamp_(0.0, 1.0)


_OPERATIONS = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)


def _uniform(limits: tuple[float, float], batch: int, generator: torch.Generator) -> Tensor:
    low, high = limits
    return low + (high - low) * torch.rand(batch, generator=generator, device=generator.device)


def _per_image(factor: Tensor, image: Tensor) -> Tensor:
    if factor.shape != image.shape[:1]:
        raise ValueError(f"factors: expected one for each of {len(image)} images, got {tuple(factor.shape)}")
    return factor.to(device=image.device, dtype=image.dtype).view(-1, 1, 1, 1)


def _per_channel(values: ChannelValues, image: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=image.dtype, device=image.device).view(1, -1, 1, 1)
