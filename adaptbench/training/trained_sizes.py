"""What a network cannot be trained on: images so small that nothing of them is left in it."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import nn

from adaptbench.errors import UsageError
from adaptbench.networks.smallest_side import ENOUGH, REFUSALS

#: (width, height) in pixels.
Size = tuple[int, int]


def require_trainable(name: str, network: nn.Module, sizes: Iterable[Size], batch: int) -> None:
    """Raises UsageError for a size of training images that a network cannot see in training mode.

    Only small sizes are tried, on a copy, so that nothing of the network or of torch's random numbers changes.
    """
    small = sorted(size for size in set(sizes) if min(size) < ENOUGH)
    if not small:
        return
    tried = copy.deepcopy(network).train()
    for width, height in small:
        if _takes(tried, (width, height), batch):
            continue
        least = next((side for side in range(1, ENOUGH) if _takes(tried, (side, side), batch)), ENOUGH)
        raise UsageError(
            f"{name}: its network cannot be trained on images or crops of {width}x{height} pixels: it needs sides of "
            f"at least {least}. Set crop, or the size of the dataset, to more (profile mini "
            "takes a quarter of sizes, small half, --profile paper all of them)."
        )


@torch.no_grad()
def _takes(network: nn.Module, size: Size, batch: int) -> bool:
    like = next(network.parameters(), torch.zeros(()))
    width, height = size
    try:
        with torch.random.fork_rng(devices=[]):
            network(torch.zeros((batch, 3, height, width), dtype=like.dtype, device=like.device))
    except REFUSALS:
        return False
    return True
