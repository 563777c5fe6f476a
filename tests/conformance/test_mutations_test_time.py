"""Typical mistakes in test-time adaptation, planted one at a time: each must make a recorded case fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adaptbench.test_time import hard_tent, stream_order
from adaptbench.test_time.outcome import Outcome
from adaptbench.test_time.stream_order import Place
from adaptbench.test_time.tent import softmax_entropy
from adaptbench.test_time.updated import OFFICIAL, train_norms

from .handlers import test_time_statistics
from .planted import Mutation, assert_noticed

PUBLISHED_HARD = hard_tent.HardTent.__call__
PUBLISHED_NAMES = hard_tent.train_named_norms


def entropy_of_pixels(logits: Tensor, label: Tensor) -> Tensor:
    return softmax_entropy(logits)


def predicted_after_the_step(self: Any, image: Tensor, size: Any) -> Outcome:
    outcome = PUBLISHED_HARD(self, image, size)
    return Outcome(hard_tent.segment(self.network, image, self.mode, size), outcome.updates)


def batch_norms_alone(network: nn.Module) -> dict[str, nn.Parameter]:
    return train_norms(network, OFFICIAL)


def with_statistics_of_the_batch(network: nn.Module) -> dict[str, nn.Parameter]:
    network.train()
    return PUBLISHED_NAMES(network)


def renewed_for_every_image(self: Any, image: Tensor, size: Any) -> Outcome:
    self.renew()
    return PUBLISHED_HARD(self, image, size)


def one_condition_after_the_other(images: Mapping[str, int], rounds: int = 10) -> Iterator[Place]:
    return (Place(r, name, i) for name, count in images.items() for r in range(rounds) for i in range(count))


HardTent = hard_tent.HardTent

MUTATIONS = [
    Mutation("entropy is minimised", "tent_acdc_hard", hard_tent, "weighted_cross_entropy", entropy_of_pixels),
    Mutation("predicted after the step", "tent_acdc_hard", HardTent, "__call__", predicted_after_the_step),
    Mutation("layer norms stay", "tent_acdc_hard", hard_tent, "train_named_norms", batch_norms_alone),
    Mutation("statistics of the batch", "tent_acdc_hard", hard_tent, "train_named_norms", with_statistics_of_the_batch),
    Mutation("Adam is renewed every image", "tent_acdc_hard", HardTent, "__call__", renewed_for_every_image),
    Mutation("plain gradient descent", "tent_acdc_hard", torch.optim, "Adam", torch.optim.SGD),
    Mutation("rounds are inner", "stream_order", test_time_statistics, "stream_order", one_condition_after_the_other),
    Mutation("three rounds", "stream_order", test_time_statistics, "ROUNDS", 3),
    Mutation("night comes last", "stream_order", test_time_statistics, "CONDITIONS", stream_order.CONDITIONS[::-1]),
]  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_mistake_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_noticed(mutation, monkeypatch)
