"""Fourier mix: an image takes the low-frequency amplitudes, and so the look, of an image of the other domain."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

#: Which frequencies are exchanged. ``left``: of the full spectrum, but the way back reads only its left half, so that
#: the right corners count for nothing (PixMatch as published). ``all``: of the full spectrum. ``half``: corners of the
#: half spectrum, of which the right ones are the highest horizontal frequencies (what EHTDI's broken file means).
Corners: TypeAlias = Literal["left", "all", "half"]


def fourier_mix(image: Tensor, style: Tensor, beta: float, corners: Corners = "left") -> Tensor:
    """Images with the phase of ``image``, and with the amplitude of ``style`` at low frequencies.

    If a side of ``image`` is larger, ``style`` is resized to the size of ``image``. If only ``style`` is
    larger, its corners are read at the indices that they have in a spectrum of the size of ``image``. The
    corners that are exchanged have ``beta`` times the image's shorter side.

    Shape: float ``(B, 3, H, W)`` each, the second of any size; like the first.

    Source: FDA, arXiv 2004.05498, equation 3, as PixMatch, arXiv 2105.08128, has it; docs/quirks.md#b23.
    """
    if image.shape[2] > style.shape[2] or image.shape[3] > style.shape[3]:
        style = functional.interpolate(style, size=image.shape[2:], mode="bicubic", align_corners=False)
    forward = torch.fft.rfft2 if corners == "half" else torch.fft.fft2
    content, look = forward(image), forward(style).abs()
    amplitude = exchanged(content.abs(), look, corner_side((content.shape[2], content.shape[3]), beta))
    spectrum = torch.polar(amplitude, content.angle())
    size = (image.shape[2], image.shape[3])
    half = spectrum[..., : size[1] // 2 + 1]
    mixed: Tensor = torch.fft.ifft2(spectrum).real if corners == "all" else torch.fft.irfft2(half, s=size)
    return mixed


def corner_side(spectrum: tuple[int, int], beta: float) -> int:
    """Side of the corners that are exchanged: a share of the shorter side, rounded down. Units: frequencies."""
    return int(min(spectrum) * beta)


def exchanged(amplitude: Tensor, look: Tensor, side: int) -> Tensor:
    """``amplitude`` with its four corners replaced by those of ``look``."""
    changed = amplitude.clone()
    height, width = amplitude.shape[2:]
    for rows in (slice(0, side), slice(height - side, height)):
        for columns in (slice(0, side), slice(width - side, width)):
            changed[:, :, rows, columns] = look[:, :, rows, columns]
    return changed
