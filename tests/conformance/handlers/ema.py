"""The teacher's moving average."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from adaptbench.adaptation import ema

from ..case import Case
from ..registry import handler

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


class State(nn.Module):
    """A module that holds nothing but recorded tensors."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        for name, value in tensors.items():
            attribute = name.replace(".", "/")
            if name.endswith(_BUFFERS):
                self.register_buffer(attribute, value.clone())
            else:
                self.register_parameter(attribute, nn.Parameter(value.clone()))

    def tensors(self) -> dict[str, torch.Tensor]:
        return {name.replace("/", "."): value.clone() for name, value in self.state_dict().items()}


@handler("ema")
def check(case: Case) -> None:
    for alpha in case.hyper("alphas"):
        prefix = f"alpha{alpha}"
        for iteration, expected in case.facts.get(prefix, {}).get("effective_alpha", {}).items():
            got = ema.ema_alpha(int(iteration), alpha)
            case.expect(f"facts/{prefix}/effective_alpha/{iteration}", got, expected, rtol=1e-12)
        _check_trajectory(case, prefix, alpha)


def _check_trajectory(case: Case, prefix: str, cap: float) -> None:
    before = f"in/{prefix}/teacher_before_init/"
    names = list(case.arrays(before))
    teacher = State({name: case.tensor(before + name) for name in names})
    states = []
    for position, iteration in enumerate(case.hyper("iteration_indices")):
        student = State({name: case.tensor(f"in/{prefix}/student/{name}")[position] for name in names})
        ema.update_teacher(teacher, student, iteration, cap)
        states.append(teacher.tensors())
    for name in case.arrays(f"out/{prefix}/teacher/"):
        case.compare(f"out/{prefix}/teacher/{name}", torch.stack([state[name] for state in states]))
