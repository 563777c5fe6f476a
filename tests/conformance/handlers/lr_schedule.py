"""Learning rates over a training, and which parameter learns and decays how much."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from adaptbench.contracts.settings import Settings
from adaptbench.optim.optimizer import build_optimizer, build_schedule

from ..case import Case
from ..registry import handler
from ..trajectory_settings import optimizer_settings


class Named(nn.Module):
    """Nothing but parameters with given names."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        for name in names:
            self.register_parameter(name.replace(".", "/"), nn.Parameter(torch.zeros(1)))


@handler("lr_schedule")
def check(case: Case) -> None:
    settings = _settings(case)
    _check_schedule(case, settings)
    for model, table in case.json["outputs"]["param_groups_name_lrmult_weightdecay"].items():
        _check_parameters(case, settings, model, table)


def _settings(case: Case) -> Settings:
    power, lowest = re.fullmatch(r"poly power (\S+) min_lr (\S+)", case.hyper("policy")).groups()  # type: ignore[union-attr]
    return Settings.model_validate(
        {
            **optimizer_settings(case.hyper("optimizer")),
            "adam_epsilon": case.hyper("eps"),
            "poly_power": float(power),
            "learning_rate_min": float(lowest),
            "iterations": case.hyper("max_iters"),
            "warmup": case.hyper("warmup_iters") if case.hyper("warmup") else 0,
            "warmup_start": case.hyper("warmup_ratio") if case.hyper("warmup") else 1.0,
        }
    )


def _check_schedule(case: Case, settings: Settings) -> None:
    wrapper = build_optimizer(Named(["backbone.conv", "decode_head.conv"]), settings)
    backbone, head = wrapper.optimizer.param_groups
    case.expect("hyper_parameters/optimizer/betas", backbone["betas"], case.hyper("optimizer")["betas"])
    case.expect("hyper_parameters/eps", backbone["eps"], case.hyper("eps"))
    schedulers = build_schedule(wrapper, settings, settings.iterations)
    wrapper.step()  # mmengine warns of schedules without steps
    rates = []
    for _ in range(settings.iterations):
        rates.append((backbone["lr"], head["lr"]))
        for scheduler in schedulers:
            scheduler.step()
    table = torch.tensor(rates, dtype=torch.float64)[case.tensor("in/iterations")]
    case.compare("out/lr_backbone", table[:, 0])
    case.compare("out/lr_head", table[:, 1])


def _check_parameters(case: Case, settings: Settings, model: str, table: Sequence[Sequence[Any]]) -> None:
    network = Named([name for name, _, _ in table])
    groups = build_optimizer(network, settings).optimizer.param_groups
    rules = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert len(rules) == sum(len(group["params"]) for group in groups), (
        f"{model}: a parameter is listed twice"
    )
    got = [rules[id(parameter)] for parameter in network.parameters()]
    expected = [(multiplier * settings.learning_rate, decay) for _, multiplier, decay in table]
    case.expect(f"param_groups_name_lrmult_weightdecay/{model}", got, expected, rtol=1e-12)
