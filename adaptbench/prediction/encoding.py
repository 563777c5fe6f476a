"""Predictions as PNG files: ids, colours, confidence."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt


def png(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> bytes:
    """A grey PNG of 8 or 16 bits, or one in colours. Shape: ``(H, W)``, or ``(H, W, 3)`` RGB."""
    ordered = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    return bytes(cv2.imencode(".png", ordered)[1].tobytes())


def confidence_levels(confidence: npt.NDArray[np.floating]) -> npt.NDArray[np.uint16]:
    """Probabilities as 16-bit grey levels, 65535 = certain, rounded half up. Shape: ``(H, W)``, unchanged."""
    levels: npt.NDArray[np.uint16] = np.floor(confidence.astype(np.float64) * 65535 + 0.5).astype(np.uint16)
    return levels
