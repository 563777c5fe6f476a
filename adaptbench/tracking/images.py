"""Kept predictions, beside image and ground truth where the data is at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adaptbench.data import files
from adaptbench.errors import AdaptBenchError
from adaptbench.records.jobspec import JobSpec
from adaptbench.records.record import Score
from adaptbench.reporting.board import view
from adaptbench.reporting.figures.gallery import opened


@dataclass(frozen=True)
class Shown:
    """One image of a split.

    Attributes:
        name: of the sample.
        prediction: train ids. Shape: ``(H, W)`` uint8.
        image: None where the data is gone. Shape: ``(H, W, 3)`` RGB uint8.
        truth: train ids, 255 ignored; None where the data is gone. Shape: ``(H, W)`` uint8.
    """

    name: str
    prediction: npt.NDArray[np.uint8]
    image: npt.NDArray[np.uint8] | None = None
    truth: npt.NDArray[np.uint8] | None = None


def shown(folder: Path, spec: JobSpec | None, score: Score) -> list[Shown]:
    """The predictions in ``folder``, by name, with image and truth if the data of ``spec`` still holds them.

    Raises:
        DataError: a prediction cannot be read.
    """
    found = [Shown(path.stem, files.read_index_image(path)) for path in sorted(folder.glob("*.png"))]
    try:
        return [] if not found else _beside(found, spec, score)
    except (AdaptBenchError, OSError):
        return found


def _beside(found: list[Shown], spec: JobSpec | None, score: Score) -> list[Shown]:
    if spec is None:
        return found
    dataset, table = opened(spec, view(score))
    samples = {sample.name: sample for sample in dataset.usable(score.split.partition("/")[2])}
    complete = []
    for one in found:
        sample = samples.get(one.name)
        if sample is None:
            complete.append(one)
            continue
        image, raw = dataset.read_image(sample), dataset.read_label(sample)
        same = image.shape[:2] == raw.shape == one.prediction.shape
        complete.append(Shown(one.name, one.prediction, image, table[raw]) if same else one)
    return complete
