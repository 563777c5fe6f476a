"""Class shares against counting pixel by pixel."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from adaptbench.training.class_shares import ClassShares, class_shares


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 7), (3, 8, 8)])
@pytest.mark.parametrize("classes", [2, 11, 19])
def test_equals_counting(shape: tuple[int, ...], classes: int) -> None:
    random = torch.Generator().manual_seed(sum(shape) * classes)
    label = torch.randint(classes, shape, generator=random)
    confident = torch.rand(shape, generator=random) > 0.4
    pixels = list(zip(label.flatten().tolist(), confident.flatten().tolist(), strict=True))
    found = class_shares(label, confident, classes)
    for index in range(classes):
        assert found["pseudo.class_share"][index].item() == pytest.approx(
            sum(one == index for one, _ in pixels) / len(pixels)
        )
        assert found["pseudo.confident_class_share"][index].item() == pytest.approx(
            sum(one == index and sure for one, sure in pixels) / len(pixels)
        )
    assert float(found["pseudo.class_share"].sum()) == pytest.approx(1)
    assert float(found["pseudo.confident_class_share"].sum()) == pytest.approx(confident.double().mean())


def test_ignored_pixels_are_of_no_class() -> None:
    label = torch.tensor([[[0, 255, 1, 255]]])
    found = class_shares(label, torch.tensor([[[True, True, False, False]]]), 2)
    assert found["pseudo.class_share"].tolist() == [0.25, 0.25]
    assert found["pseudo.confident_class_share"].tolist() == [0.25, 0.0]


def _log(shown: dict[str, dict[str, torch.Tensor]]) -> dict[str, Any]:
    log: dict[str, Any] = {"loss": torch.zeros(())}
    runner = SimpleNamespace(model=SimpleNamespace(task=SimpleNamespace(class_set=range(3))))
    ClassShares(1).use(runner, None, log, shown)
    return log


def test_only_pseudo_labels_with_their_confidence_are_counted() -> None:
    label = torch.zeros(1, 2, 2, dtype=torch.int64)
    assert set(_log({"mixed": {"label": label}})) == {"loss"}
    assert set(_log({"pseudo": {"label": label}})) == {"loss"}
    assert len(_log({"pseudo": {"label": label, "confident": label == 0}})) == 3
