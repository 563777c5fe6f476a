"""Trainings of a few iterations on random images whose labels are blocks, of things and of road in turn."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

import torch

from adaptbench.contracts.method import Method
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.draws import Draws

#: Side of the crops. Things fill blocks of half of it, which must hold one of the feature distance: 32 pixels, or 64
#: at the context scale of HRDA, whose crops are therefore twice as large.
CROP = 64
HRDA_CROPS = {"crop": 2 * CROP, "detail_crop": CROP}


def build(method: type[Method], **changes: Any) -> Method:
    """The method on the small network, from equal random weights."""
    settings = method.Settings.model_validate({"network": "daformer-mini", "crop": CROP, **changes})
    setting = "uda" if method.uses_target_images else "dg"
    torch.manual_seed(0)
    return method(Task("test", setting, CITYSCAPES19, profile("mini")), settings)


def batch_of(method: type[Method], iteration: int, side: int = CROP) -> Batch:
    random = torch.Generator().manual_seed(iteration)
    source, target = torch.randn(2, 1, 3, side, side, generator=random)
    things = torch.tensor(CITYSCAPES19.things)
    blocks = things[torch.randint(len(things), (1, 1, 2, 2), generator=random)]
    blocks[..., ::2] = 0
    label = blocks.repeat_interleave(side // 2, 2).repeat_interleave(side // 2, 3)
    unlabelled = Images(target, ("b",)) if method.uses_target_images else None
    return Batch(iteration, Draws(7, iteration), LabelledImages(source, ("a",), label), unlabelled)


class Stream:
    """Batches of random images without a data set."""

    stage_seed = 1
    rare_classes = None
    balanced_picks = None

    def __init__(self, method: type[Method], length: int) -> None:
        self._method, self._length = method, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, iteration: int) -> Batch:
        return batch_of(self._method, iteration)


def train(made: Method, iterations: int = 1, side: int | None = None) -> list[dict[str, float]]:
    """What the iterations log, on crops of the method's size unless another side is stated."""
    optimizers, logs = made.optimizers(), []
    for iteration in range(iterations):
        batch = batch_of(type(made), iteration, side or made.settings.crop)
        torch.manual_seed(batch.draws.seed("network"))
        log = made.train().train_step(batch, optimizers)
        logs.append({name: float(value) for name, value in log.items()})
    return logs


def require_effect(method: type[Method], usual: dict[str, Any], option: dict[str, Any]) -> None:
    """Fails unless a step with ``option`` is finite and other than the one with ``usual`` alone."""
    (changed,) = train(build(method, **{**usual, **option}))
    assert all(math.isfinite(value) for value in changed.values()), changed
    assert changed != _first_step(method, json.dumps(usual))


@cache
def _first_step(method: type[Method], usual: str) -> dict[str, float]:
    return train(build(method, **json.loads(usual)))[0]
