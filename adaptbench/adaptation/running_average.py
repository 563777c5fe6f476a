"""The running average of a network, which is scored in place of the student and used for nothing else."""

from __future__ import annotations

import copy

import torch
from torch import nn

from adaptbench.adaptation.ema import average_parameters


class RunningAverage(nn.Module):
    """A copy of the student that averages its parameters after every step, always with the same share.

    It averages over ``span`` iterations, 1 / (1 - share), which need not be whole. Its running statistics stay as
    they are until they are copied.

    Source: docs/quirks.md#b15 (PixMatch and EHTDI).
    """

    def __init__(self, student: nn.Module, span: float) -> None:
        super().__init__()
        self.share = 1.0 - 1.0 / span
        self.network = copy.deepcopy(student).requires_grad_(False)

    def follow(self, student: nn.Module) -> None:
        """Moves the parameters towards those of the student; call it after every step."""
        average_parameters(self.network, student, self.share)

    @torch.no_grad()
    def copy_statistics(self, student: nn.Module) -> None:
        """Takes over the student's running statistics; as published, at the end of an epoch."""
        for own, other in zip(self.network.buffers(), student.buffers(), strict=True):
            own.copy_(other)
