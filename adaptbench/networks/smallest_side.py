"""The smallest image that a network takes: nothing is left of fewer pixels where many positions are merged."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import nn

from adaptbench.networks.evaluating import evaluating

#: Sides that are enough for every network. Units: pixels.
ENOUGH = 64
#: What layers raise where nothing of their input is left.
REFUSALS = (RuntimeError, ValueError, AssertionError, ZeroDivisionError, IndexError)

_FOUND: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()


def smallest_side(network: nn.Module, at_most: int = 0) -> int:
    """Side of the smallest square image that a network or an encoder takes in evaluation mode; at most `ENOUGH`.

    It is found by trying, once; where ``at_most`` pixels are enough for every network, nothing is tried.

    Units: pixels.
    """
    if at_most >= ENOUGH:
        return 1
    if network not in _FOUND:
        with evaluating(network):
            _FOUND[network] = next((side for side in range(1, ENOUGH) if _takes(network, side)), ENOUGH)
    return _FOUND[network]


@torch.no_grad()
def _takes(network: nn.Module, side: int) -> bool:
    like = next(network.parameters(), torch.zeros(()))
    try:
        network(torch.zeros((1, 3, side, side), dtype=like.dtype, device=like.device))
    except REFUSALS:
        return False
    return True
