"""One confusion matrix at 1024x2048 against the histogram counts of mmsegmentation's IoUMetric, and torchmetrics.

Run with ``pytest benchmarks/speed/test_confusion.py --benchmark-only``: all stand in one group, so that a single
run gives the ratio.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torchmetrics.functional.classification import multiclass_confusion_matrix

from adaptbench.evaluation.confusion import confusion_matrix

Ids = npt.NDArray[np.uint8]
Counts = tuple[torch.Tensor, ...]
CLASSES = 19


def restated(prediction: torch.Tensor, label: torch.Tensor, num_classes: int, ignore_index: int) -> Counts:
    """The counts of mmsegmentation's IoUMetric.intersect_and_union: three histograms of masked floats."""
    labelled = label != ignore_index
    prediction, label = prediction[labelled], label[labelled]

    def count(ids: torch.Tensor) -> torch.Tensor:
        return torch.histc(ids.float(), bins=num_classes, min=0, max=num_classes - 1)

    hits, predicted, true = count(prediction[prediction == label]), count(prediction), count(label)
    return hits, predicted + true - hits, predicted, true


def reference() -> Callable[..., Counts]:
    """mmsegmentation's own function, or the same restated where mmseg cannot be imported without mmcv.ops."""
    try:
        from mmseg.evaluation.metrics import IoUMetric
    except ImportError:
        return restated
    function: Callable[..., Counts] = IoUMetric.intersect_and_union
    return function


@pytest.fixture(scope="module")
def maps() -> tuple[Ids, Ids]:
    """A label map of street-sized patches with an ignored border, and a prediction that is 80 % right."""
    rng = np.random.default_rng(0)
    label = cv2.resize(rng.integers(0, CLASSES, (32, 64), np.uint8), (2048, 1024), interpolation=0)
    blurred = cv2.resize(rng.random((128, 256)), (2048, 1024)) + 0.05 * rng.random((1024, 2048))
    other = cv2.resize(rng.integers(0, CLASSES, (64, 128), np.uint8), (2048, 1024), interpolation=0)
    prediction = np.where(blurred < 0.3, other, label)
    label[-100:] = 255
    return label, prediction


def test_the_counts_are_equal(maps: tuple[Ids, Ids]) -> None:
    label, prediction = maps
    matrix = confusion_matrix(label, prediction, CLASSES)
    hits, union, predicted, true = reference()(
        torch.from_numpy(prediction), torch.from_numpy(label), CLASSES, 255
    )
    np.testing.assert_array_equal(matrix.diagonal(), hits.numpy())
    np.testing.assert_array_equal(matrix.sum(0), predicted.numpy())
    np.testing.assert_array_equal(matrix.sum(1), true.numpy())
    np.testing.assert_array_equal(matrix.sum(0) + matrix.sum(1) - matrix.diagonal(), union.numpy())


@pytest.mark.benchmark(group="confusion matrix, 1024x2048, 19 classes")
def test_ours(benchmark: Any, maps: tuple[Ids, Ids]) -> None:
    benchmark(confusion_matrix, *maps, CLASSES)


@pytest.mark.benchmark(group="confusion matrix, 1024x2048, 19 classes")
def test_ours_int64_prediction(benchmark: Any, maps: tuple[Ids, Ids]) -> None:
    label, prediction = maps
    benchmark(confusion_matrix, label, prediction.astype(np.int64), CLASSES)


@pytest.mark.benchmark(group="confusion matrix, 1024x2048, 19 classes")
@pytest.mark.parametrize("kind", [torch.uint8, torch.int64], ids=["uint8", "int64"])
def test_mmseg(benchmark: Any, maps: tuple[Ids, Ids], kind: torch.dtype) -> None:
    label, prediction = (torch.from_numpy(ids).to(kind) for ids in maps)
    benchmark(reference(), prediction, label, CLASSES, 255)


@pytest.mark.benchmark(group="confusion matrix, 1024x2048, 19 classes")
@pytest.mark.parametrize("kind", [torch.uint8, torch.int64], ids=["uint8", "int64"])
def test_torchmetrics(benchmark: Any, maps: tuple[Ids, Ids], kind: torch.dtype) -> None:
    """Without its checks of the arguments."""
    label, prediction = (torch.from_numpy(ids).to(kind) for ids in maps)

    def count() -> torch.Tensor:
        return multiclass_confusion_matrix(prediction, label, CLASSES, ignore_index=255, validate_args=False)

    np.testing.assert_array_equal(count().numpy(), confusion_matrix(*maps, CLASSES))
    benchmark(count)
