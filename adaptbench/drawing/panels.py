"""What a training step made of one sample, as panels: images, labels and maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptbench.data.normalisation import Normalisation
from adaptbench.data.taxonomy import ClassSet
from adaptbench.drawing.contact_sheet import Panel, Pixels

Array = npt.NDArray[Any]

#: Parts of a group that say how far the others count.
OVERLAYS = frozenset({"weight", "confident", "mask"})
#: Brightness of a label that weighs nothing, and lines across an image of one that is not confident.
_DARK, _LINES = 0.5, 32


@dataclass(frozen=True)
class Painter:
    """Draws parts of a training step, whose labels are of some classes and whose images are normalised."""

    classes: ClassSet
    normalisation: Normalisation

    def panel(self, part: str, parts: Mapping[str, Array], name: str) -> Panel:
        """One part of a group: integers are labels, three channels are an image, anything else is a map.

        All parts of the group are of one sample; `OVERLAYS` are drawn over its label, and its name stands
        below its image.

        Shape: every array ``(H, W)`` or ``(C, H, W)``.
        """
        array = parts[part]
        if np.issubdtype(array.dtype, np.integer):
            return Panel(self._label(_plane(array), parts), _caption(parts), smooth=False)
        if array.ndim == 3 and array.shape[0] == 3:
            caption = f"pasted {parts['mask'].mean():.1%}" if "mask" in parts else name
            return Panel(self._image(array), caption)
        grey = array.mean(axis=0) if array.ndim == 3 else array  # black is 0 and white is 1
        pixels = _bytes(np.repeat(grey[..., None] * 255.0, 3, axis=2))
        return Panel(pixels, f"mean {np.nan_to_num(array).mean():.2f}", smooth=False)

    def _image(self, image: Array) -> Pixels:
        """A network's input as RGB. Shape: ``(3, H, W)`` to ``(H, W, 3)`` uint8."""
        pixels = image.transpose(1, 2, 0) * np.asarray(self.normalisation.std) + self.normalisation.mean
        return _bytes(pixels[..., ::-1] if self.normalisation.bgr else pixels)

    def _label(self, ids: Array, parts: Mapping[str, Array]) -> Pixels:
        """Colours of the classes, darker the less a pixel weighs, and hatched where it is not confident."""
        colours = self.classes.colours[ids.astype(np.uint8)]
        if "weight" in parts:
            brightness = _DARK + (1 - _DARK) * _plane(parts["weight"]).clip(0, 1)
            colours = _bytes(colours * brightness[..., None])
        if "confident" in parts:
            colours[~_plane(parts["confident"]) & _hatching(ids.shape)] = 255
        return colours


def _caption(parts: Mapping[str, Array]) -> str:
    """How far a label counts."""
    if "confident" in parts:
        return f"confident {parts['confident'].mean():.1%}"
    return f"mean weight {parts['weight'].mean():.2f}" if "weight" in parts else ""


def _hatching(shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Diagonal lines that survive when a large image is made small. Shape: ``(H, W)`` bool."""
    step = max(4, shape[1] // _LINES)
    rows, columns = np.indices(shape)
    lines: npt.NDArray[np.bool_] = (rows + columns) % step < max(1, step // 8)
    return lines


def _plane(array: Array) -> Array:
    """Without the channel. Shape: ``(H, W)`` or ``(1, H, W)`` to ``(H, W)``."""
    return array.reshape(array.shape[-2:])


def _bytes(values: Array) -> Pixels:
    """Values in 0..255, rounded."""
    pixels: Pixels = np.rint(np.nan_to_num(values).clip(0, 255)).astype(np.uint8)
    return pixels
