"""The running average of a network: what is scored in the place of the student, and does nothing else."""

from __future__ import annotations

import copy

import torch
from torch import nn

from adaptbench.adaptation.ema import average_parameters


class RunningAverage(nn.Module):
    """A copy of the student whose parameters follow it after every step, with a constant share from the first step on.

    Its running statistics stay as they are until they are copied.

    Args:
        student: network to copy.
        span: iterations that it averages over, 1 / (1 - share).

    Source: quirk 15 of the recorded values (PixMatch and EHTDI).
    """

    def __init__(self, student: nn.Module, span: int) -> None:
        super().__init__()
        self.share = 1.0 - 1.0 / span
        self.network = copy.deepcopy(student).requires_grad_(False)

    def follow(self, student: nn.Module) -> None:
        """Moves the parameters towards those of the student; call it after every step.

        Raises:
            ValueError: the student has other parameters than the copied one.
        """
        average_parameters(self.network, student, self.share)

    @torch.no_grad()
    def copy_statistics(self, student: nn.Module) -> None:
        """Takes over the student's running statistics; as published, at the end of an epoch."""
        for own, other in zip(self.network.buffers(), student.buffers(), strict=True):
            own.copy_(other)
