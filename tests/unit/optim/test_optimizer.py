"""Every parameter is listed once, with the papers' rates; the recorded table is in tests/conformance."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from adaptbench import networks
from adaptbench.contracts.settings import Settings
from adaptbench.optim.optimizer import build_optimizer, build_schedule


def settings(**values: Any) -> Settings:
    return Settings.model_validate(values)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict({"conv": nn.Conv2d(3, 4, 1), "norm": nn.BatchNorm2d(4)})
        self.decode_head = nn.ModuleDict({"conv": nn.Conv2d(4, 2, 1), "norm": nn.BatchNorm2d(2)})


def rules(**values: Any) -> dict[str, tuple[float, float]]:
    network = Network()
    groups = build_optimizer(network, settings(**values)).optimizer.param_groups
    by_parameter = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    return {name: by_parameter[id(p)] for name, p in network.named_parameters()}


def test_the_head_learns_faster_and_encoder_norms_do_not_decay() -> None:
    found = rules(learning_rate=1.0, head_lr_factor=10, weight_decay=0.5)
    assert found["backbone.conv.weight"] == found["backbone.conv.bias"] == (1.0, 0.5)
    assert found["backbone.norm.weight"] == found["backbone.norm.bias"] == (1.0, 0.0)
    assert found["decode_head.conv.weight"] == found["decode_head.norm.weight"] == (10.0, 0.5)
    assert rules(norm_weight_decay=True)["backbone.norm.weight"] == (6e-5, 0.01)


@pytest.mark.parametrize("name", ["deeplabv2-mini", "class-frequency"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_every_parameter_is_listed_once(name: str, optimizer: str) -> None:
    network = networks.build(name, 5)
    groups = build_optimizer(network, settings(optimizer=optimizer)).optimizer.param_groups
    listed = [id(p) for group in groups for p in group["params"]]
    assert len(set(listed)) == len(listed)
    assert {id(p) for p in network.parameters()} <= set(listed)
    assert len(groups) <= 3


def test_frozen_parameters_are_left_out() -> None:
    network = Network()
    network.backbone.requires_grad_(False)
    groups = build_optimizer(network, settings()).optimizer.param_groups
    assert {id(p) for group in groups for p in group["params"]} == {
        id(p) for p in network.decode_head.parameters()
    }


def rates(values: Settings) -> list[float]:
    wrapper = build_optimizer(Network(), values)
    schedulers, found = build_schedule(wrapper, values, values.iterations), []
    wrapper.step()  # mmengine warns of schedules without steps
    for _ in range(values.iterations):
        found.append(wrapper.optimizer.param_groups[0]["lr"])
        for scheduler in schedulers:
            scheduler.step()
    return found


@pytest.mark.parametrize("warmup", [0, 1, 7, 40, 100])
@pytest.mark.parametrize("power", [0.9, 1.0])
@pytest.mark.parametrize("lowest", [0.0, 0.03])
def test_the_schedule_is_its_formula(warmup: int, power: float, lowest: float) -> None:
    values = settings(
        iterations=40,
        warmup=warmup,
        poly_power=power,
        learning_rate=0.5,
        learning_rate_min=lowest,
        warmup_start=0.1,
        optimizer="sgd",
    )
    warm = [0.1 + 0.9 * min(t / warmup, 1) if warmup else 1 for t in range(40)]
    expected = [((0.5 - lowest) * (1 - t / 40) ** power + lowest) * warm[t] for t in range(40)]
    assert rates(values) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("lowest", [0.0, 1e-6])
def test_a_resumed_schedule_goes_on_exactly(lowest: float) -> None:
    values = settings(iterations=40, warmup=7, learning_rate_min=lowest)
    whole = rates(values)
    first = build_optimizer(Network(), values)
    schedulers = build_schedule(first, values, values.iterations)
    first.step()
    for _ in range(11):
        for scheduler in schedulers:
            scheduler.step()
    second = build_optimizer(Network(), values)
    restored = build_schedule(second, values, values.iterations)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    for new, old in zip(restored, schedulers, strict=True):
        new.load_state_dict(old.state_dict())
    assert second.optimizer.param_groups[0]["lr"] == whole[11]
    second.step()
    for scheduler in restored:
        scheduler.step()
    assert second.optimizer.param_groups[0]["lr"] == whole[12]


def test_sgd_is_plain_sgd() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    values = settings(optimizer="sgd", learning_rate=0.1, weight_decay=0.01, momentum=0.5)
    wrapper = build_optimizer(ours, values)
    plain = torch.optim.SGD(theirs.parameters(), lr=0.1, weight_decay=0.01, momentum=0.5)
    for _ in range(3):
        image = torch.randn(4, 3)
        wrapper.update_params(ours(image).square().mean())
        plain.zero_grad()
        theirs(image).square().mean().backward()
        plain.step()
    assert torch.equal(ours.weight, theirs.weight)


def test_a_rate_that_does_not_decay_while_it_warms_up_falls_behind_it() -> None:
    values = settings(iterations=10, warmup=4, warmup_start=0.1, warmup_decays=False, learning_rate=2.0)
    warm = [2.0 * (0.1 + 0.9 * step / 3) for step in range(4)]
    assert rates(values) == pytest.approx([*warm, *(2.0 * (1 - step / 10) for step in range(4, 10))])


def test_a_warm_up_of_one_step_is_its_start() -> None:
    found = rates(settings(iterations=4, warmup=1, warmup_start=0.1, warmup_decays=False, learning_rate=1.0))
    assert found == pytest.approx([0.1, 0.75, 0.5, 0.25])


def test_deeper_blocks_learn_slower() -> None:
    network = networks.build("vfm_uda-mini", 5)
    values = settings(learning_rate=1.0, head_lr_factor=10.0, layer_decay=0.5)
    groups = build_optimizer(network, values).optimizer.param_groups
    found = {id(p): group["lr"] for group in groups for p in group["params"]}
    of = {name: found[id(p)] for name, p in network.named_parameters()}
    depth = len(network.get_submodule("backbone.model.blocks"))
    assert of["decode_head.out.weight"] == 10.0
    assert of[f"backbone.model.blocks.{depth - 1}.attn.qkv.weight"] == 1.0
    assert of["backbone.model.blocks.0.attn.qkv.weight"] == 0.5 ** (depth - 1)
    assert of["backbone.model.patch_embed.proj.weight"] == of["backbone.model.norm.weight"] == 0.5**depth


def test_positions_decay_if_they_are_to() -> None:
    network = networks.build("vfm_uda-mini", 5)
    for decays in (False, True):
        values = settings(weight_decay=0.5, position_weight_decay=decays)
        groups = build_optimizer(network, values).optimizer.param_groups
        found = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
        assert found[id(network.get_parameter("backbone.model.pos_embed"))] == (0.5 if decays else 0.0)


def test_norms_of_the_head_may_be_spared() -> None:
    found = rules(head_norm_weight_decay=False, weight_decay=0.5, head_lr_factor=1.0)
    assert found["decode_head.norm.weight"] == found["decode_head.norm.bias"] == (6e-5, 0.0)
    assert found["decode_head.conv.bias"] == (6e-5, 0.5)


@pytest.mark.parametrize("warmup", [0, 1, 2, 5])
def test_one_schedule_after_the_other(warmup: int) -> None:
    values = settings(
        warmup=warmup,
        warmup_start=0.1,
        poly_power=0.9,
        poly_after_warmup=True,
        iterations=12,
        learning_rate=1.0,
    )
    begin = warmup if warmup > 1 else 0
    rising = [0.1 + 0.9 * t / (begin - 1) for t in range(begin)]
    falling = [(1 - t / (12 - begin - 1)) ** 0.9 for t in range(12 - begin)]
    assert rates(values) == pytest.approx(rising + falling, abs=1e-12)


def test_weight_decay_is_annealed_to_one_value_and_resumed_exactly() -> None:
    values = settings(weight_decay=0.5, weight_decay_end=0.1, iterations=6)
    whole = decays(values, 6)
    assert whole[:, 0].tolist() == pytest.approx(
        [0.1 + 0.2 * (1 + math.cos(math.pi * t / 6)) for t in range(6)]
    )
    assert whole[:, 1].tolist() == pytest.approx([0.05 * (1 - math.cos(math.pi * t / 6)) for t in range(6)])
    assert torch.equal(decays(values, 6, resumed_at=3), whole)


def decays(values: Settings, iterations: int, resumed_at: int | None = None) -> torch.Tensor:
    """Weight decay of a matrix and of an encoder norm before every step."""
    wrapper, schedule = _optimised(values)
    rows = []
    for iteration in range(iterations):
        if iteration == resumed_at:
            states = [part.state_dict() for part in schedule]
            kept = wrapper.state_dict()
            wrapper, schedule = _optimised(values)
            wrapper.load_state_dict(kept)
            for part, state in zip(schedule, states, strict=True):
                part.load_state_dict(state)
        found = sorted(group["weight_decay"] for group in wrapper.optimizer.param_groups)
        rows.append([found[-1], found[0]])
        wrapper.step()
        for part in schedule:
            part.step()
    return torch.tensor(rows, dtype=torch.float64)


def _optimised(values: Settings) -> tuple[OptimWrapper, list[Any]]:
    wrapper = build_optimizer(Network(), values)
    return wrapper, build_schedule(wrapper, values, values.iterations)
