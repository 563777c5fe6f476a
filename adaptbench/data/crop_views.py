"""Two views of a crop of a training image: as it is, and recoloured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adaptbench.data.normalisation import Normalisation
from adaptbench.data.recolour import Recolouring, draw_recolouring, recolour
from adaptbench.data.resized_crop import CropBox, Size, crop_image, crop_label, draw_box
from adaptbench.data.transforms import network_input

UInt8 = npt.NDArray[np.uint8]
#: How normalised values become grey levels again: ``truncated`` as published, which may lose a level, or ``rounded``.
GreyLevels: TypeAlias = Literal["truncated", "rounded"]


class ViewDraw(NamedTuple):
    """The random part of the two views of an image."""

    box: CropBox
    colours: Recolouring


class Views(NamedTuple):
    """Both views of a batch, normalised. Shape: float ``(B, 3, height, width)`` each."""

    weak: Tensor
    strong: Tensor


def draw_view(size: Size, smallest: float, generator: np.random.Generator) -> ViewDraw:
    """Draws the crop and the recolouring of an image of this height and width; see `draw_box`."""
    return ViewDraw(draw_box(size, smallest, generator), draw_recolouring(generator))


def views(
    image: Tensor,
    draws: Sequence[ViewDraw],
    size: Size,
    values: Normalisation,
    levels: GreyLevels = "truncated",
) -> Views:
    """Both views of every image; the strong view is the weak one, recoloured.

    Shape: float ``(B, 3, H, W)``, normalised with ``values``; a draw per image. ``size`` is (height, width).

    Source: docs/quirks.md#b3 and #b19.
    """
    crops = [
        crop_image(frame, draw.box, size)
        for frame, draw in zip(grey_levels(image, values, levels), draws, strict=True)
    ]
    strong = [recolour(crop, draw.colours) for crop, draw in zip(crops, draws, strict=True)]
    return Views(_batched(crops, values).to(image), _batched(strong, values).to(image))


def labels_in_view(label: Tensor, draws: Sequence[ViewDraw], size: Size) -> Tensor:
    """The labels of the crops that the views show. Shape: int64 ``(B, 1, H, W)`` to ``(B, 1, *size)``."""
    maps = label[:, 0].to(torch.uint8).cpu().numpy()
    cut = [crop_label(single, draw.box, size) for single, draw in zip(maps, draws, strict=True)]
    return torch.from_numpy(np.stack(cut).astype(np.int64))[:, None].to(label.device)


def grey_levels(image: Tensor, values: Normalisation, levels: GreyLevels = "truncated") -> list[UInt8]:
    """The grey levels of normalised images. Shape: float ``(B, 3, H, W)`` to B times ``(H, W, 3)`` RGB uint8."""
    mean, std = (image.new_tensor(part).view(3, 1, 1) for part in (values.mean, values.std))
    pixels = values.swapped(image * std + mean).clamp(0, 255)
    pixels = pixels.round() if levels == "rounded" else pixels
    return list(pixels.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())


def _batched(images: Sequence[UInt8], values: Normalisation) -> Tensor:
    return network_input(images, values)
