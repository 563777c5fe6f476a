from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from adaptbench.errors import UsageError
from adaptbench.evaluation.features import feature_moments

LABELS = {
    "a": np.repeat(np.repeat(np.array([[0, 1], [1, 255]], dtype=np.uint8), 4, axis=0), 4, axis=1),
    "b": np.ones((8, 8), dtype=np.uint8),
}


class Encoder(nn.Module):
    """Means of 4x4 cells as its last feature map."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return image, nn.functional.avg_pool2d(image, 4)


def scorer(network: nn.Module) -> Any:
    def shown(dataset: object, sample: str) -> tuple[torch.Tensor, Any]:
        value = 1.0 if sample == "a" else 5.0
        return torch.full((1, 3, 8, 8), value), LABELS[sample]

    method = SimpleNamespace(name="mine", task=SimpleNamespace(class_set=("x", "y")))
    return cast("Any", SimpleNamespace(network=network, method=method, label_folders=(), shown=shown))


def test_cells_belong_to_the_class_of_their_pixels() -> None:
    network = nn.Module()
    network.backbone = Encoder()
    moments = feature_moments(scorer(network), cast("Any", None), cast("Any", ["a", "b"]))
    assert moments.count.tolist() == [1, 6]
    assert moments.total.tolist() == [[1.0] * 3, [2 * 1.0 + 4 * 5.0] * 3]
    assert moments.squares.tolist() == [3.0, 2 * 3.0 + 4 * 75.0]


def test_a_network_without_a_backbone_is_named() -> None:
    with pytest.raises(UsageError, match="scored network of mine is a Identity without a backbone"):
        feature_moments(scorer(nn.Identity()), cast("Any", None), cast("Any", ["a"]))
