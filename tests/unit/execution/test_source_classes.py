"""Classes that no source image shows are found, and no more labels are read than it takes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adaptbench.contracts.benchmark import SplitRef
from adaptbench.data.taxonomy import CITYSCAPES19, IGNORE
from adaptbench.errors import InterruptedTrainingError
from adaptbench.evaluation.metrics import score
from adaptbench.execution.source_classes import unseen
from adaptbench.records.record import Score

ROAD, WALL, TRAIN = (CITYSCAPES19.classes.index(name) for name in ("road", "wall", "train"))


class Source:
    """Images whose labels hold the given train ids."""

    id_space = "cityscapes_train"

    def __init__(self, *labels: list[int]) -> None:
        self.labels, self.read = labels, 0

    def usable(self, split: str) -> list[int]:
        return list(range(len(self.labels)))

    def read_label(self, number: int) -> Any:
        self.read += 1
        return np.array([[*self.labels[number], IGNORE]], np.uint8)


def context(*sources: Source, classes: str = "cityscapes19") -> Any:
    refs = tuple(SplitRef(f"source{n}", "train") for n in range(len(sources)))
    ranking = {"class_set": classes, "absent_classes": "labelled"}
    return SimpleNamespace(
        benchmark=SimpleNamespace(source=refs),
        datasets={ref.dataset: source for ref, source in zip(refs, sources, strict=True)},
        spec=SimpleNamespace(class_set=classes, ranking=ranking, limit=None),
    )


@pytest.fixture
def ranked() -> Score:
    """A score with road, wall and train in the truth."""
    matrix = np.zeros((19, 19), np.int64)
    matrix[[ROAD, WALL, TRAIN], ROAD] = 5
    return score(matrix, CITYSCAPES19, split="cityscapes/val", provenance="generated", images=1)


def test_what_no_source_image_shows(ranked: Score) -> None:
    source = Source([ROAD, 8], [ROAD], [WALL])
    assert unseen(context(source), ranked, lambda: False) == ["train"]
    assert source.read == 3


def test_reading_ends_once_all_are_found(ranked: Score) -> None:
    first, second = Source([WALL], [ROAD, TRAIN], [8]), Source([9])
    assert unseen(context(first, second), ranked, lambda: False) == []
    assert (first.read, second.read) == (2, 0)


def test_several_sources_count_together(ranked: Score) -> None:
    assert unseen(context(Source([ROAD]), Source([TRAIN])), ranked, lambda: False) == ["wall"]


def test_only_averaged_classes_are_looked_for(ranked: Score) -> None:
    """Train is none of the 16 that are averaged."""
    assert unseen(context(Source([ROAD, WALL]), classes="cityscapes16of19"), ranked, lambda: False) == []


def test_it_can_be_stopped(ranked: Score) -> None:
    with pytest.raises(InterruptedTrainingError):
        unseen(context(Source([ROAD])), ranked, lambda: True)
