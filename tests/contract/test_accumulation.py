"""A step of trainings in two parts, beside the same step at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from adaptbench.contracts.method import Stage
from adaptbench.training.accumulation import Accumulation

from . import distinct
from .steps import batch_of, build, differences, double

#: Gradients near zero, which Adam turns into steps of full length, are sums in another order.
_ROUNDING = 1e-9


#: With two scales, compared features and hallucinated styles, and with discriminators; what is computed whole.
KINDS = {
    "hrda_dg-train": ["student.decode_head.head", "student.decode_head.scale_attention"],
    "fada_alignment-alignment": [],
}


@pytest.mark.parametrize("kind", KINDS)
def test_two_parts_take_the_step_of_one(kind: str) -> None:
    """Losses, weights, running statistics and generators in float64."""
    training = distinct.trainings(())[kind]
    (expected, nothing), (found, said) = (_stepped(training, count) for count in (1, 2))
    differ = differences(found, expected)
    assert differ.pop("log") < 1e-12
    assert not {name: differ[name] for name in differ if differ[name] > _ROUNDING}
    assert nothing == [] and [line.split()[1] for line in said] == KINDS[kind]


def _stepped(training: Stage, count: int) -> tuple[tuple[dict[str, Tensor], dict[str, Tensor]], list[str]]:
    """What a step logs, and the whole state after it; what is said of it."""
    method, said = build(training).double().train(), list[str]()
    optimizers = method.optimizers()
    Accumulation(method, count, said.append)
    batch = double(batch_of(type(method)))
    torch.manual_seed(batch.draws.seed("network"))
    log = method.train_step(batch, optimizers)
    return (log, {**method.state_dict(), "generator": torch.get_rng_state()}), said
