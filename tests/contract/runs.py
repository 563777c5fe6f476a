"""A few steps of a training, and everything about them that tests look at."""

from __future__ import annotations

import pickle
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptbench.contracts.method import Method, Stage
from adaptbench.training import checkpoint
from adaptbench.training.watch import Watch

from .steps import batch_of, build, logged

ITERATIONS = 2


@dataclass
class Run:
    """A training that took some steps.

    Attributes:
        method: as it is after them.
        untrained: the student's parameters before the first.
        after_one: the whole state after the first.
        logs: what each step logged.
        drew_globally: the global generators that a step moved, besides that of torch.
    """

    method: Method
    untrained: dict[str, Tensor]
    after_one: dict[str, Any] = field(default_factory=dict)
    logs: list[dict[str, Tensor]] = field(default_factory=list)
    drew_globally: set[str] = field(default_factory=set)

    def digest(self) -> str:
        return checkpoint.digest(self.method.state_dict())

    def numbers(self) -> list[dict[str, float | list[float]]]:
        return [{key: value.tolist() for key, value in log.items()} for log in self.logs]

    def modes(self) -> dict[str, bool]:
        return {name: module.training for name, module in self.method.named_modules()}


def run(method: Method, hooks: Sequence[Watch] = ()) -> Run:
    """`ITERATIONS` steps, watched by ``hooks``, which must draw from no global generator."""
    made = Run(method, copied(dict(method.student.named_parameters())))
    for iteration in range(ITERATIONS):
        batch = batch_of(type(method), iteration)
        runner = SimpleNamespace(
            iter=iteration,
            rank=0,
            max_iters=ITERATIONS,
            model=method,
            due=lambda every: True,
            stream=SimpleNamespace(normalisation=method.normalisation),
        )
        for hook in hooks:
            hook.before_train_iter(runner, iteration, batch)
        before = generators()
        log = logged(method, iteration)
        after = generators()
        made.drew_globally |= {name for name in ("random", "numpy") if before[name] != after[name]}
        for hook in hooks:
            hook.after_train_iter(runner, iteration, batch, log)
        assert generators() == after, "a hook drew from a global generator"
        made.logs.append(log)
        made.after_one = made.after_one or copied(method.state_dict())
    return made


def trained(stage: Stage) -> Run:
    """The same of a new training."""
    return run(build(stage))


def generators() -> dict[str, bytes]:
    """The states of all global generators."""
    states = (random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state().numpy())
    return dict(zip(("random", "numpy", "torch"), map(pickle.dumps, states), strict=True))


def copied(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: v.detach().clone() if isinstance(v, Tensor) else v for name, v in state.items()}
