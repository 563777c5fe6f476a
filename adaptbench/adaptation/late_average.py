"""A running average of a network that begins late in its training, and is scored in place of the student."""

from __future__ import annotations

import copy

import torch
from torch import nn

from adaptbench.adaptation.ema import average_parameters


def kept_share(iteration: int, begin: int, decay: float) -> float:
    """Share of itself that the average keeps after an iteration, counted from 0; ``decay`` when it is an average.

    Up to iteration ``begin`` it copies the network, and in the first one in any case.

    Source: mmengine's hook for moving averages, which SoMA trains with; docs/quirks.md#r17.
    """
    return 0.0 if iteration < max(begin, 1) else decay


class LateAverage(nn.Module):
    """A copy of the student that follows it exactly, and from some iteration on as an average.

    Args:
        student: what is averaged; its frozen parameters are, too.
        begin: number of iterations after which averaging begins.
        decay: share of the old average in an update.

    Source: code of SoMA, arXiv 2412.04077; docs/quirks.md#r17.
    """

    def __init__(self, student: nn.Module, begin: int, decay: float) -> None:
        super().__init__()
        self.begin, self.decay = begin, decay
        self.network = copy.deepcopy(student).requires_grad_(False)

    @torch.no_grad()
    def follow(self, student: nn.Module, iteration: int) -> None:
        """Moves the parameters towards those of the student and copies its buffers; call it after every step.

        Units: ``iteration`` is that of the step, counted from 0.
        """
        average_parameters(self.network, student, kept_share(iteration, self.begin, self.decay))
        for own, other in zip(self.network.buffers(), student.buffers(), strict=True):
            own.copy_(other)
