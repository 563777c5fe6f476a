"""The teacher: an exponential moving average of the student."""

from __future__ import annotations

import copy
from itertools import compress

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from adaptbench.adaptation.fixed import fixed_in
from adaptbench.adaptation.parts import Assembly

_DROP_PATH = "DropPath"  # mmcv, timm and this package each have a class of that name and no common base


def ema_alpha(iteration: int, cap: float) -> float:
    """Return the share of the old teacher in an update: min(1 - 1 / (iteration + 1), cap).

    The published caps are 0.99 and 0.999.

    Raises:
        ValueError: the number of completed iterations is negative or the cap lies outside 0..1.

    Source: DACS, arXiv 2007.08702, section 3; DAFormer, arXiv 2111.14887, equation 5; docs/quirks.md#s27.
    """
    if iteration < 0:
        raise ValueError(f"iteration: expected 0 or more, got {iteration}")
    if not 0.0 <= cap <= 1.0:
        raise ValueError(f"cap: expected a share in 0..1, got {cap}")
    return min(1.0 - 1.0 / (iteration + 1), cap)


def update_teacher(teacher: nn.Module, student: nn.Module, iteration: int, cap: float) -> None:
    """Move the teacher's parameters towards the student's: teacher = a * teacher + (1 - a) * student.

    For a see `ema_alpha`; iteration 0 copies. Buffers (running statistics of batch norm) are never touched:
    the teacher has its own.

    Source: DAFormer, arXiv 2111.14887, equation 5; docs/quirks.md#s27, #s28 and #s31.
    """
    average_parameters(teacher, student, ema_alpha(iteration, cap))


@torch.no_grad()
def average_parameters(average: nn.Module, network: nn.Module, share: float) -> None:
    """Move parameters towards those of a network: average = share * average + (1 - share) * network.

    A share of 0 copies. Frozen parameters move, too, but for those that are fixed under an adapter (`fixed`), which
    rounding would change; buffers do not.

    Raises:
        ValueError: the parameters do not correspond.
    """
    averages: list[Tensor] = list(average.parameters())
    values: list[Tensor] = list(network.parameters())
    if [tensor.shape for tensor in averages] != [tensor.shape for tensor in values]:
        raise ValueError(f"teacher and student differ: {_first_difference(average, network)}")
    if not averages:
        return
    if share == 0.0:
        torch._foreach_copy_(averages, values)
        return
    fixed = fixed_in(network)
    moves = [value.requires_grad or name not in fixed for name, value in network.named_parameters()]
    averages, values = list(compress(averages, moves)), list(compress(values, moves))
    if averages:
        # A single lerp would be faster, but rounds differently from the published formula.
        torch._foreach_mul_(averages, share)
        torch._foreach_add_(averages, values, alpha=1.0 - share)


@torch.no_grad()
def average_buffers(average: nn.Module, network: nn.Module, share: float) -> None:
    """Move buffers of floating-point numbers as `average_parameters` moves parameters; counters stay."""
    fixed = fixed_in(network)
    for own, (name, other) in zip(average.buffers(), network.named_buffers(), strict=True):
        if own.is_floating_point() and name not in fixed:
            own.mul_(share).add_(other, alpha=1.0 - share)


def teacher_mode(module: nn.Module) -> None:
    """Put a module into the state in which a teacher labels images.

    Everything is in training mode, so that batch norm uses (and records) the statistics of the batch. Only
    dropout and stochastic depth are off.

    Source: DACS, arXiv 2007.08702; docs/quirks.md#s26 and #s28.
    """
    module.train()
    for part in module.modules():
        if isinstance(part, _DropoutNd) or type(part).__name__ == _DROP_PATH:
            part.eval()


class Teacher(Assembly):
    """A copy of the student that follows it as a moving average and labels images.

    Only `update` changes its parameters; its buffers move by its own forward passes.

    Source: DAFormer, arXiv 2111.14887, section 3.1; docs/quirks.md#s26 to #s31.
    """

    def __init__(self, student: nn.Module, cap: float) -> None:
        super().__init__()
        ema_alpha(0, cap)
        self.cap = cap
        self.network = copy.deepcopy(student).requires_grad_(False)

    def update(self, student: nn.Module, iteration: int) -> None:
        """Follow the student; call it at the start of an iteration, before any forward pass.

        Raises:
            ValueError: the student has other parameters than the copied one.

        Source: docs/quirks.md#s24 and #s31.
        """
        update_teacher(self.network, student, iteration, self.cap)

    def follow(self, student: nn.Module, iteration: int) -> None:
        """Follow the student with parameters and buffers; call it at the end of an iteration, which never copies.

        Source: code of VFM-UDA, arXiv 2406.09896; docs/quirks.md#v16.
        """
        share = ema_alpha(iteration + 1, self.cap)
        average_parameters(self.network, student, share)
        average_buffers(self.network, student, share)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Return the logits for the pseudo labels, always in `teacher_mode` (score the teacher by `network`).

        Shape: float (B, 3, H, W), normalised, to what the network returns for it, without gradients.
        """
        teacher_mode(self.network)
        logits: Tensor = self.network(image)
        return logits


def _first_difference(teacher: nn.Module, student: nn.Module) -> str:
    expected = {name: tuple(value.shape) for name, value in student.named_parameters()}
    found = {name: tuple(value.shape) for name, value in teacher.named_parameters()}
    for name in [*expected, *found]:
        if expected.get(name) != found.get(name):
            return f"{name} is {expected.get(name)} in the student and {found.get(name)} in the teacher"
    return "the same parameters come in another order"
