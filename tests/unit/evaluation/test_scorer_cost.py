"""What scoring says about cost: operations of an image, and images per second."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adaptbench.evaluation.scorer import Scorer
from adaptbench.networks.inference import Mode, Sliding, Whole

HEIGHT, WIDTH, CLASSES = 8, 16, 5


class Fake:
    """As much of a method as a scorer asks for; its network is one convolution."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode

    def scored_network(self) -> nn.Module:
        return nn.Conv2d(3, CLASSES, 3, padding=1, bias=False)

    def inference(self) -> Mode:
        return self.mode

    def counted(self, outputs: Tensor) -> Tensor:
        return outputs


@pytest.mark.parametrize(("mode", "pixels"), [(Whole(), 128), (Sliding((8, 8), (8, 4)), 3 * 64)])
def test_operations_are_those_of_the_modes_windows(
    mode: Mode, pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Scorer(cast("Any", Fake(mode)), cast("Any", None), torch.device("cpu"), [Path("/none")], bool)
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    monkeypatch.setattr(Scorer, "shown", lambda *_: (torch.zeros(1, 3, HEIGHT, WIDTH), truth))
    sample = cast("Any", SimpleNamespace())
    assert scorer.flops(sample, sample) == 2 * 27 * CLASSES * pixels
    assert scorer.images_per_second is None
    for _ in range(3):
        scorer.predict_labels(sample, sample)
    assert scorer.images_per_second == pytest.approx(2 / sum(scorer.seconds[1:]))
