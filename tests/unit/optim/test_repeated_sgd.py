"""Repeated updates by hand, and how often a tensor is listed; recorded steps are in tests/conformance."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from adaptbench.contracts.settings import Settings
from adaptbench.errors import UsageError
from adaptbench.optim.optimizer import Listing, build_optimizer
from adaptbench.optim.repeated_sgd import Arithmetic, RepeatedSGD

LR, MOMENTUM, DECAY = 0.1, 0.5, 0.01


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.Sequential(nn.Conv2d(4, 4, 1))))
        self.decode_head = nn.Sequential(nn.Sequential(nn.Conv2d(4, 2, 1)))


def settings(**values: Any) -> Settings:
    return Settings.model_validate({"optimizer": "sgd", "learning_rate": LR, "momentum": MOMENTUM, **values})


def naive(value: float, gradients: list[float], times: int, arithmetic: Arithmetic) -> float:
    buffer: float | None = None
    for step, original in enumerate(gradients):
        gradient = original
        for _ in range(times):
            decayed = (gradient if arithmetic == "torch-0.4" else original) + DECAY * value
            gradient = decayed
            fresh = buffer is None or (arithmetic == "current" and step == 0)
            buffer = decayed if fresh or buffer is None else MOMENTUM * buffer + decayed
            value -= LR * buffer
    return value


@pytest.mark.parametrize("arithmetic", ["torch-0.4", "current"])
@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_by_hand(arithmetic: Arithmetic, times: int) -> None:
    tensor = nn.Parameter(torch.tensor([1.5, -0.5], dtype=torch.float64))
    groups = [{"params": [tensor], "weight_decay": DECAY, "times": times}]
    optimizer = RepeatedSGD(groups, LR, MOMENTUM, arithmetic)
    gradients = [[0.3, -0.7, 0.2], [1.0, 0.0, -2.0]]
    for step in range(3):
        tensor.grad = torch.tensor([row[step] for row in gradients], dtype=torch.float64)
        optimizer.step()
    expected = [naive(v, row, times, arithmetic) for v, row in zip((1.5, -0.5), gradients, strict=True)]
    assert tensor.tolist() == pytest.approx(expected, rel=1e-12)


def test_the_gradient_is_left_alone() -> None:
    tensor = nn.Parameter(torch.ones(2))
    tensor.grad = torch.full((2,), 0.5)
    RepeatedSGD([{"params": [tensor], "weight_decay": DECAY, "times": 3}], LR, MOMENTUM).step()
    assert tensor.grad.tolist() == [0.5, 0.5]


def test_its_state_can_be_stored() -> None:
    """Going on from a stored state gives the same bits."""
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(5, generator=generator) for _ in range(4)]

    def new(value: torch.Tensor) -> tuple[nn.Parameter, RepeatedSGD]:
        tensor = nn.Parameter(value.clone())
        return tensor, RepeatedSGD([{"params": [tensor], "weight_decay": DECAY, "times": 3}], LR, MOMENTUM)

    def run(tensor: nn.Parameter, optimizer: RepeatedSGD, part: list[torch.Tensor]) -> None:
        for gradient in part:
            tensor.grad = gradient.clone()
            optimizer.step()

    whole, optimizer = new(torch.ones(5))
    run(whole, optimizer, gradients)
    first, optimizer = new(torch.ones(5))
    run(first, optimizer, gradients[:2])
    second, other = new(first.detach())
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(second, other, gradients[2:])
    assert torch.equal(whole, second)


@pytest.mark.parametrize("listing", ["repeated", "repeated-current"])
def test_listed_once_per_module_on_its_path(listing: Listing) -> None:
    network = Network()
    groups = build_optimizer(network, settings(), listing).optimizer.param_groups
    times = {id(p): group["times"] for group in groups for p in group["params"]}
    found = {name: times[id(p)] for name, p in network.named_parameters()}
    assert found == {
        "backbone.0.weight": 1,
        "backbone.0.bias": 1,
        "backbone.1.0.0.weight": 3,
        "backbone.1.0.0.bias": 3,
        "decode_head.0.0.weight": 1,
        "decode_head.0.0.bias": 1,
    }


def test_other_optimisers_list_once() -> None:
    with pytest.raises(UsageError, match=r"optimizer=sgd, not for adamw"):
        build_optimizer(Network(), settings(optimizer="adamw"), "repeated")
