"""SGD that lists tensors several times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from adaptbench.optim.repeated_sgd import RepeatedSGD

from ..case import Case
from ..registry import handler


@handler("sgd_duplicate_params")
def check(case: Case) -> None:
    momentum = case.hyper("momentum")
    _check(case, "once", lambda groups: torch.optim.SGD(groups, lr=0.0, momentum=momentum))
    _check(case, "legacy", lambda groups: RepeatedSGD(groups, 0.0, momentum, "torch-0.4"))
    _check(case, "current", lambda groups: RepeatedSGD(groups, 0.0, momentum, "current"))


def _check(case: Case, reading: str, build: Callable[[list[Any]], torch.optim.Optimizer]) -> None:
    listings = {f"listed_{times}_times": times for times in case.hyper("listings")}
    tensors = {name: nn.Parameter(case.tensor(f"param/{name}")) for name in listings}
    decay = case.hyper("weight_decay")
    groups = [
        {"params": [tensors[n]], "weight_decay": decay, "times": times} for n, times in listings.items()
    ]
    optimizer = build(groups)  # PyTorch's own does not read ``times``
    for step, rate in enumerate(case.hyper("lr")):
        for group in optimizer.param_groups:
            group["lr"] = rate
        for name, tensor in tensors.items():
            tensor.grad = case.tensor(f"in/grad/step{step}/{name}")
        optimizer.step()
        for name, tensor in tensors.items():
            case.compare(f"out/{reading}/step{step}/{name}", tensor)
