"""Photometric distortion of images: brightness, contrast, saturation and hue, each with probability one half."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]

#: Largest shift of the brightness, in grey levels.
_BRIGHTNESS = 32
#: Range of the factors on contrast and saturation.
_FACTORS = (0.5, 1.5)
#: Largest shift of the hue, in steps of two degrees.
_HUE = 18
_HUES = 180


@dataclass(frozen=True)
class Distortion:
    """The random part of a distortion; None = that step is left out.

    Attributes:
        brightness: added to all channels, in grey levels.
        contrast: factor on all channels.
        contrast_first: whether the contrast comes before saturation and hue, else after them.
        saturation: factor on it.
        hue: added to the hue, in steps of two degrees.
    """

    brightness: float | None = None
    contrast: float | None = None
    contrast_first: bool = True
    saturation: float | None = None
    hue: int | None = None


def draw_distortion(generator: np.random.Generator) -> Distortion:
    """Draw one distortion.

    Source: mmsegmentation, PhotoMetricDistortion with its default ranges, as in the colour-augmented pipelines of
        HRDA, arXiv 2204.13132 (table 2, adversarial training and entropy minimisation).
    """
    wanted = generator.random(5) < 0.5
    return Distortion(
        brightness=float(generator.uniform(-_BRIGHTNESS, _BRIGHTNESS)) if wanted[0] else None,
        contrast=float(generator.uniform(*_FACTORS)) if wanted[1] else None,
        contrast_first=bool(wanted[2]),
        saturation=float(generator.uniform(*_FACTORS)) if wanted[3] else None,
        hue=int(generator.integers(-_HUE, _HUE)) if wanted[4] else None,
    )


def distort(image: UInt8, draw: Distortion) -> UInt8:
    """The distorted image; every step cuts values to whole grey levels, saturation and hue by way of HSV each.

    Shape: ``(H, W, 3)`` RGB uint8, unchanged.
    """
    if draw.brightness is not None:
        image = _linear(image, shift=draw.brightness)
    if draw.contrast is not None and draw.contrast_first:
        image = _linear(image, factor=draw.contrast)
    if draw.saturation is not None:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 1] = _linear(np.asarray(hsv[..., 1]), factor=draw.saturation)
        image = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
    if draw.hue is not None:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = cv2.LUT(np.asarray(hsv[..., 0]), _shifted_hues(draw.hue))
        image = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
    if draw.contrast is not None and not draw.contrast_first:
        image = _linear(image, factor=draw.contrast)
    return image


def _linear(values: UInt8, factor: float = 1.0, shift: float = 0.0) -> UInt8:
    """Each of the 256 grey levels is computed once."""
    levels = np.arange(256, dtype=np.float32) * factor + shift
    return np.asarray(cv2.LUT(values, np.clip(levels, 0, 255).astype(np.uint8)), np.uint8)


def _shifted_hues(shift: int) -> UInt8:
    return ((np.arange(256) + shift) % _HUES).astype(np.uint8)
