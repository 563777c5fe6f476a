"""A step of every kind of training on two devices, beside the same step on one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from quick_depthwise import QuickDepthwise
from ranks import on_ranks
from torch import Tensor

from adaptbench.contracts.method import Stage
from adaptbench.ranks.group import ALONE, Ranks
from adaptbench.training.sharing import share_work

from . import distinct
from .steps import batch_of, build, differences, double

#: Gradients near zero, which Adam turns into steps of full length, are sums in another order.
_ROUNDING = 1e-6


#: With batch norm, a teacher and mixed images, two scales and compared features, discriminators, domain-wise classes,
#: contrast, hallucinated styles, and views that are cut from labels.
KINDS = (
    *("source_only-train", "dacs-train", "hrda-train", "advent-train", "fada_alignment-alignment"),
    *("ehtdi-adapt", "hrda_dg-train", "pixmatch-adapt"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_two_devices_take_the_step_of_one(kind: str, tmp_path: Path) -> None:
    """Losses, weights and running statistics in float64: those of the whole batch, on every rank."""
    training = distinct.trainings(())[kind]
    expected = _stepped(training, ALONE)
    for found in on_ranks(2, lambda ranks: differences(_stepped(training, ranks), expected), tmp_path):
        assert found.pop("log") < 1e-9
        assert not {name: found[name] for name in found if found[name] > _ROUNDING}


def _stepped(training: Stage, ranks: Ranks) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What a step logs, and the whole state after it."""
    method = build(training).double().train()
    optimizers = method.optimizers()
    share_work(method, optimizers, ranks)
    batch = double(batch_of(type(method)))
    torch.manual_seed(batch.draws.seed("network"))
    with QuickDepthwise():
        return method.train_step(batch, optimizers), method.state_dict()
