"""One training step of HRDA in profile mini against the order of the reference: one backward pass per loss.

Run with ``pytest benchmarks/speed/test_hrda_step.py --benchmark-only``. Three steps with equal losses and gradients
(`test_the_steps_are_equal`):

- ours: source loss and feature distance in one backward pass, then the mixed loss;
- pass by pass: ours in everything but the order; the source's graph is kept and walked again by the distance;
- as published: pass by pass, and the moving average parameter by parameter, mixing sample by sample, attention with
  its weights as a tensor, depthwise convolutions as they come.

`full_size_step.py` measures the same at full size, with the memory.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from problem import new_batch, new_method
from restated import as_published, pass_by_pass, restate_networks
from torch import Tensor

from adaptbench.contracts.profiles import profile

GROUP = pytest.mark.benchmark(
    group="one HRDA step, mini: batch 2, crop 256, jitter and blur on",
    timer=time.process_time,  # there is one thread; other programs on the machine do not count
)

Step = Callable[[Any, Any, Any], dict[str, Tensor]]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """As many threads as a training in profile mini has."""
    before = torch.get_num_threads()
    torch.set_num_threads(profile("mini").threads)
    yield
    torch.set_num_threads(before)


def ours(method: Any, batch: Any, optimizers: Any) -> dict[str, Tensor]:
    log: dict[str, Tensor] = method.train_step(batch, optimizers)
    return log


@pytest.mark.parametrize("step", [pass_by_pass, as_published])
def test_the_steps_are_equal(step: Step) -> None:
    """Losses, gradients and the teacher; otherwise the times could not be compared."""
    first = new_method("hrda")
    second, batch = copy.deepcopy(first), new_batch(first)
    if step is as_published:
        restate_networks(second)
    logs = [one_step(first, ours, batch), one_step(second, step, batch)]
    assert logs[1].keys() <= logs[0].keys()
    assert {"loss_seg", "hr.loss_seg", "source.loss_feature_distance", "mix.loss_seg"} <= logs[1].keys()
    for name, value in logs[1].items():
        torch.testing.assert_close(logs[0][name], value, atol=1e-6, rtol=1e-4, msg=name)
    for (name, mine), theirs in zip(
        first.student.named_parameters(), second.student.parameters(), strict=True
    ):
        torch.testing.assert_close(mine.grad, theirs.grad, atol=2e-5, rtol=1e-3, msg=name)
    for name, value in second.teacher.state_dict().items():
        torch.testing.assert_close(first.teacher.state_dict()[name], value, atol=1e-5, rtol=1e-4, msg=name)


def one_step(method: Any, step: Step, batch: Any) -> dict[str, Tensor]:
    """One step from a student that its teacher has not followed yet."""
    with torch.no_grad():
        for parameter in method.student.parameters():
            parameter.mul_(1.01)
    torch.manual_seed(0)  # dropout and drop path
    return step(method, batch, method.optimizers())


@GROUP
def test_ours(benchmark: Any) -> None:
    method = new_method("hrda")
    benchmark(ours, method, new_batch(method), method.optimizers())


@GROUP
def test_pass_by_pass(benchmark: Any) -> None:
    method = new_method("hrda")
    benchmark(pass_by_pass, method, new_batch(method), method.optimizers())


@GROUP
def test_as_published(benchmark: Any) -> None:
    method = new_method("hrda")
    restate_networks(method)
    benchmark(as_published, method, new_batch(method), method.optimizers())
