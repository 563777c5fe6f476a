"""Synchronised crops: training on the same part of the source crop and of the target crop.

Small crops drawn apart from each other do not fit together where classes of one are pasted into the other: the
sky of one would land on the road of the other. Parts of equal place in large crops do.

Source: Hoyer et al., HRDA, arXiv 2204.13132, ablation of crop sizes; the authors' data loader.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from adaptbench.data import transforms
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.errors import UsageError

Place = tuple[slice, slice]


def synchronized(batch: Batch, side: int) -> Batch:
    """The batch with a part of every crop: one place per sample, shared by source and target. Units: pixels.

    Raises:
        UsageError: the part is larger than the crop.
    """
    places = draw_places(batch, side)
    target = None if batch.target is None else cut(batch.target, places)
    return replace(batch, labelled=cut_labelled(batch.labelled, places), target=target)


def draw_places(batch: Batch, side: int) -> list[Place]:
    """Rows and columns of every sample's part."""
    image = batch.labelled.image
    if side > min(image.shape[-2:]):
        crop = "x".join(map(str, image.shape[-2:]))
        raise UsageError(f"A synchronised part of {side} pixels does not fit into a crop of {crop}.")
    size = (image.shape[-2], image.shape[-1])
    draws = (batch.draws.numpy(f"synchronized crop {k}") for k in range(len(image)))
    return [transforms.draw_crop(size, side, generator) for generator in draws]


def cut(images: Images, places: list[Place]) -> Images:
    """The part of every image, and of the mask of trusted pixels if there is one."""
    trusted = None if images.trusted is None else _cut(images.trusted, places)
    return replace(images, image=_cut(images.image, places), trusted=trusted)


def cut_labelled(images: LabelledImages, places: list[Place]) -> LabelledImages:
    """The part of every image and of its label."""
    return replace(images, image=_cut(images.image, places), label=_cut(images.label, places))


def _cut(tensor: Tensor, places: list[Place]) -> Tensor:
    """Shape: ``(B, C, H, W)`` to ``(B, C, side, side)``."""
    return torch.stack([sample[(slice(None), *place)] for sample, place in zip(tensor, places, strict=True)])
