"""Mistakes in scores, planted one at a time: each must make a recorded case fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adaptbench.evaluation import calibration
from adaptbench.networks import inference

from . import instance_iou, metric_files
from .conventions import Areas, Convention
from .handlers import metrics
from .open_confusion import open_confusion
from .planted import Mutation, assert_noticed


def absent_is_zero(convention: Convention, scores: Any, areas: Areas) -> float:
    return float(np.nan_to_num(scores).mean())


def others_are_false_positives(counts: Any, kept: Any) -> Any:
    part = counts[np.ix_([*kept, -1], [*kept, -1])].copy()
    part[-1, :-1] = counts[:, list(kept)].sum(axis=0) - part[:-1, :-1].sum(axis=0)
    return part


def transposed(label: Any, prediction: Any, num_classes: int) -> Any:
    return open_confusion(label, prediction, num_classes).T


def first_image(first: Any, second: Any) -> Any:
    return first


def never_aligned(mode: Any) -> bool:
    return False


MUTATIONS = [
    Mutation("absent classes count", "metrics", Convention, "average", absent_is_zero),
    Mutation("rows are predictions", "metrics", metrics, "open_confusion", transposed),
    Mutation("others are false positives", "metrics", metrics, "others_ignored", others_are_false_positives),
    Mutation("only the first image", "metrics", calibration.CalibrationCounts, "__add__", first_image),
    Mutation("logits never aligned", "metrics", inference, "_aligned", never_aligned),
    Mutation(
        "objects weigh as their pixels", "metrics", instance_iou, "MEAN_SIZE", dict.fromkeys(range(34), 1.0)
    ),
    Mutation("boundaries twice as wide", "metrics", metric_files, "boundary_width", lambda *_: 4),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_planted_mistake_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_noticed(mutation, monkeypatch)
