"""Kept predictions, beside image and ground truth where the data is at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adaptbench.data import files
from adaptbench.errors import AdaptBenchError
from adaptbench.records.jobspec import JobSpec, load_job, predictions_folder, results_of
from adaptbench.records.record import Score
from adaptbench.reporting.board import view
from adaptbench.reporting.figures.gallery import opened


@dataclass(frozen=True)
class Shown:
    """One image of a split.

    Attributes:
        prediction: train ids. Shape: ``(H, W)`` uint8.
        image: None where the data is gone. Shape: ``(H, W, 3)`` RGB uint8.
        truth: train ids, 255 ignored; None where the data is gone. Shape: ``(H, W)`` uint8.
    """

    name: str
    prediction: npt.NDArray[np.uint8]
    image: npt.NDArray[np.uint8] | None = None
    truth: npt.NDArray[np.uint8] | None = None


def shown(job: Path, score: Score) -> list[Shown]:
    """The predictions of a split that a job kept, by name, with image and truth if its data still holds them."""
    found: list[Shown] = []
    try:
        paths = sorted(predictions_folder(job, score.split).glob("*.png"))
        found = [Shown(path.stem, files.read_index_image(path)) for path in paths]
        return _beside(found, load_job(job), score, job) if found else []
    except (AdaptBenchError, OSError):
        return found


def _beside(found: list[Shown], spec: JobSpec, score: Score, job: Path) -> list[Shown]:
    dataset, table = opened(spec, view(score), results_of(job))
    samples = {sample.name: sample for sample in dataset.usable(score.split.partition("/")[2])}
    complete = []
    for one in found:
        if one.name in samples:
            sample = samples[one.name]
            image, raw = dataset.read_image(sample), dataset.read_label(sample)
            if image.shape[:2] == raw.shape == one.prediction.shape:
                one = replace(one, image=image, truth=table[raw])
        complete.append(one)
    return complete
