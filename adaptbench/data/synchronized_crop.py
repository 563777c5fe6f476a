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
from adaptbench.data.batch import Batch
from adaptbench.errors import UsageError


def synchronized(batch: Batch, side: int) -> Batch:
    """The batch with a part of every crop: one place per sample, shared by source and target. Units: pixels.

    Raises:
        UsageError: the part is larger than the crop.
    """
    height, width = batch.labelled.image.shape[-2:]
    if side > min(height, width):
        raise UsageError(
            f"A synchronised part of {side} pixels does not fit into a crop of {height}x{width}."
        )
    generators = [batch.draws.numpy(f"synchronized crop {k}") for k in range(len(batch.labelled.image))]
    places = [transforms.draw_crop((height, width), side, generator) for generator in generators]

    def cut(tensor: Tensor) -> Tensor:
        parts = [sample[(slice(None), *place)] for sample, place in zip(tensor, places, strict=True)]
        return torch.stack(parts)

    labelled, target = batch.labelled, batch.target
    labelled = replace(labelled, image=cut(labelled.image), label=cut(labelled.label))
    if target is not None:
        trusted = None if target.trusted is None else cut(target.trusted)
        target = replace(target, image=cut(target.image), trusted=trusted)
    return replace(batch, labelled=labelled, target=target)
