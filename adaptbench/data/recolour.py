"""Recolouring of images: brightness, contrast, hue, saturation and value, then perhaps grey, then perhaps blurred."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]

#: Largest deviation of the factor on the contrast from 1, and of the brightness from 0 as a share of white.
_CONTRAST, _BRIGHTNESS = 0.2, 0.2
#: Largest shifts: of the hue in steps of two degrees, of saturation and value in 256 steps.
_HUE, _SATURATION, _VALUE = 20, 30, 20
_HUES = 180
_COLOURED, _GREY, _BLURRED = 0.8, 0.2, 0.5
_KERNELS = (3, 5)


@dataclass(frozen=True)
class Colours:
    """The random part of a change of colours.

    Attributes:
        contrast: factor on grey levels.
        brightness: added to them, as a share of white.
        hue: added, in steps of two degrees.
        saturation, value: added, in 256 steps.
    """

    contrast: float
    brightness: float
    hue: int
    saturation: int
    value: int


@dataclass(frozen=True)
class Recolouring:
    """The random part of a recolouring: colours, whether it becomes grey, and side of the Gaussian in pixels."""

    colours: Colours | None = None
    grey: bool = False
    kernel: int | None = None


def draw_recolouring(generator: np.random.Generator) -> Recolouring:
    """Draws a recolouring.

    Source: PixMatch, arXiv 2105.08128, augmentation, with the default ranges of the library it names; also in EHTDI.
    """
    coloured, grey, blurred = generator.random(3) < (_COLOURED, _GREY, _BLURRED)
    colours = Colours(
        contrast=1.0 + float(generator.uniform(-_CONTRAST, _CONTRAST)),
        brightness=float(generator.uniform(-_BRIGHTNESS, _BRIGHTNESS)),
        hue=int(generator.integers(-_HUE, _HUE + 1)),
        saturation=int(generator.integers(-_SATURATION, _SATURATION + 1)),
        value=int(generator.integers(-_VALUE, _VALUE + 1)),
    )
    kernel = int(generator.choice(_KERNELS))
    return Recolouring(colours if coloured else None, bool(grey), kernel if blurred else None)


def recolour(image: UInt8, draw: Recolouring) -> UInt8:
    """The recoloured image. Shape: ``(H, W, 3)`` RGB uint8, unchanged."""
    if draw.colours is not None:
        image = _coloured(image, draw.colours)
    if draw.grey:
        image = np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))
    if draw.kernel is not None:
        image = np.asarray(cv2.GaussianBlur(image, (draw.kernel, draw.kernel), 0))
    return image


def _coloured(image: UInt8, draw: Colours) -> UInt8:
    """Contrast and brightness, then hue (which goes round), saturation and value, by a table of all levels each."""
    levels = np.arange(256.0)
    hsv = cv2.cvtColor(_looked_up(image, levels * draw.contrast + draw.brightness * 255), cv2.COLOR_RGB2HSV)
    tables = ((levels + draw.hue) % _HUES, levels + draw.saturation, levels + draw.value)
    changed = [_looked_up(channel, table) for channel, table in zip(cv2.split(hsv), tables, strict=True)]
    return np.asarray(cv2.cvtColor(cv2.merge(changed), cv2.COLOR_HSV2RGB))


def _looked_up(image: UInt8, levels: npt.NDArray[np.float64]) -> UInt8:
    return np.asarray(cv2.LUT(image, np.clip(levels, 0, 255).astype(np.uint8)))
