"""A pass that labels images can be stopped after any of them, and ends with the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.labelling import Labeller, PseudoLabel, Trained
from adaptbench.contracts.method import Method
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import Settings
from adaptbench.contracts.task import Task
from adaptbench.data.pseudo_labels import PseudoLabels
from adaptbench.data.taxonomy import class_set
from adaptbench.errors import InterruptedTrainingError, RunStateError
from adaptbench.networks.inference import Size
from adaptbench.training.label_pass import Item, label_images

NAMES = ("a", "b", "c")


class ImageCount(Dataset):
    name = "images"
    label_folders = ()

    def samples(self, split: str) -> list[Sample]:
        return [Sample(name, self.root / f"{name}.png", self.root / f"{name}.png") for name in NAMES]


class Colours(Method):
    """The most likely class is the strongest colour."""

    name = "colours"
    title = "Colours"

    def build_student(self) -> nn.Module:
        return nn.Sequential(nn.Dropout(0.5), nn.Conv2d(3, 3, 1))


class Counting(Labeller):
    def __init__(self) -> None:
        super().__init__("file")
        object.__setattr__(self, "seen", [])

    def label(self, method: Trained, image: Tensor, size: Size) -> PseudoLabel:
        seen: list[Size] = self.seen  # type: ignore[attr-defined]
        seen.append(size)
        made = super().label(method, image, size)
        return PseudoLabel(made.label, {"width": float(image.shape[-1])})


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    rng = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        image = rng.integers(0, 256, (16, 24 + 8 * number, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    dataset = ImageCount(tmp_path)
    return [(f"city-train/{s.name}", dataset, s, (12, 8)) for s in dataset.samples("train")]


def labels(items: list[Item], folder: Path, stop_after: int | None = None) -> tuple[PseudoLabels, Any]:
    torch.manual_seed(0)
    method = Colours(
        Task("b", "uda", class_set("cityscapes19"), profile("mini")), Settings.model_validate({})
    )
    kept, labeller, asked = PseudoLabels(folder), Counting(), iter(range(100))
    folder.mkdir(exist_ok=True)
    label_images(method, labeller, items, kept, lambda done, total: None, lambda: next(asked) == stop_after)
    return kept, labeller


def content(folder: Path) -> Mapping[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_labels_have_the_size_of_the_files(items: list[Item], tmp_path: Path) -> None:
    kept, labeller = labels(items, tmp_path / "labels")
    assert labeller.seen == [(16, 24), (16, 32), (16, 40)]
    entries = kept.entries()
    assert [(e.width, e.height) for e in entries.values()] == [(24, 16), (32, 16), (40, 16)]
    assert entries["city-train/a"].facts == {"width": 12.0}
    kept.require(entries)


@pytest.mark.parametrize("stop_after", [0, 1, 2])
def test_a_stopped_pass_goes_on_where_it_was(items: list[Item], tmp_path: Path, stop_after: int) -> None:
    labels(items, tmp_path / "whole")
    with pytest.raises(InterruptedTrainingError, match=f"after {stop_after} of 3 pseudo-labels"):
        labels(items, tmp_path / "stopped", stop_after)
    assert len(PseudoLabels(tmp_path / "stopped").entries()) == stop_after
    _, labeller = labels(items, tmp_path / "stopped")
    assert len(labeller.seen) == 3 - stop_after
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


def test_what_is_no_number_is_no_pseudo_label(items: list[Item], tmp_path: Path) -> None:
    """It would be sorted with the others, to any place."""

    class Uncertain(Labeller):
        def label(self, method: Trained, image: Tensor, size: Size) -> PseudoLabel:
            entropy = float("nan") if size == (16, 32) else 1.0
            return PseudoLabel(super().label(method, image, size).label, {"entropy": entropy})

    method = Colours(
        Task("b", "uda", class_set("cityscapes19"), profile("mini")), Settings.model_validate({})
    )
    kept = PseudoLabels(tmp_path)
    with pytest.raises(
        RunStateError, match=r"of city-train/b has entropy = nan: the network .* has diverged"
    ):
        label_images(method, Uncertain(), items, kept, lambda done, total: None, lambda: False)
    assert list(kept.entries()) == ["city-train/a"]
