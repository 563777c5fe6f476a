"""A slight blur of training images: half of them, by a Gaussian of random width."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

UInt8 = npt.NDArray[np.uint8]

#: Largest published width in pixels of images of full size.
WIDEST = 1.0


def draw_blur(generator: np.random.Generator, widest: float = WIDEST) -> float | None:
    """Draws the width of the Gaussian in pixels, up to ``widest``; None in half of all cases.

    Source: docs/quirks.md#b18 (loaders of PixMatch and EHTDI).
    """
    blurred, width = generator.random() < 0.5, generator.uniform(0.0, widest)
    return float(width) if blurred else None


def blur(image: UInt8, width: float | None) -> UInt8:
    """The blurred image. Shape: ``(H, W, 3)`` uint8, unchanged."""
    if width is None:
        return image
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).filter(ImageFilter.GaussianBlur(width)))
