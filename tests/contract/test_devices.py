"""A step of every training on two devices, beside the same step on one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ranks import on_ranks
from torch import Tensor

from adaptbench.contracts.method import Method, Stage
from adaptbench.ranks.group import ALONE, Ranks
from adaptbench.training.sharing import share_work

from .steps import batch_of, build_small, double

#: Gradients near zero, which Adam turns into steps of full length, are sums in another order.
_ROUNDING = 1e-6


def test_two_devices_take_the_step_of_one(training: Stage, tmp_path: Path) -> None:
    """Losses, weights and running statistics in float64: those of the whole batch, on every rank."""
    log, state = _stepped(training, ALONE)
    for other_log, other in on_ranks(2, lambda ranks: _stepped(training, ranks), tmp_path):
        assert other_log == pytest.approx(log, rel=1e-9, abs=1e-12, nan_ok=True)
        assert other.keys() == state.keys()
        for name, tensor in state.items():
            scale = float(tensor.abs().max()) if tensor.numel() else 0.0
            torch.testing.assert_close(other[name], tensor, rtol=0, atol=_ROUNDING * scale, msg=name)


def _stepped(training: Stage, ranks: Ranks) -> tuple[dict[str, float], dict[str, Tensor]]:
    """What a step logs, and the whole state after it."""
    method = build_small(training).double().train()
    optimizers = method.optimizers()
    share_work(method, optimizers, ranks)
    batch = double(batch_of(type(method), 0, method.settings.crop))
    torch.manual_seed(batch.draws.seed("network"))
    log = method.train_step(batch, optimizers)
    return {key: float(value) for key, value in log.items()}, _copied(method)


def _copied(method: Method) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in method.state_dict().items()}
