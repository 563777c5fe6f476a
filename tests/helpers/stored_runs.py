"""Records with confusion matrices beside them, as runs leave them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adaptbench.records.confusion_files import PerImageConfusion, matrices_path
from adaptbench.records.record import Record, save_record

Maker = Callable[..., Record]
CITIES = [f"{city}_{number:06d}" for city in ("frankfurt", "lindau", "munster") for number in range(8)]


def confusion(percent: float, seed: int) -> PerImageConfusion:
    """Two classes of equal size that are hit in about ``percent`` of the pixels; seeds differ by about a point."""
    rng = np.random.default_rng([round(100 * percent), seed])
    hits = (10 * (percent + rng.normal(0, 1)) + rng.normal(0, 30, (len(CITIES), 2))).astype(np.uint32)
    matrices: npt.NDArray[np.uint32] = np.zeros((len(CITIES), 2, 2), np.uint32)
    matrices[:, [0, 1], [0, 1]] = hits
    matrices[:, [0, 1], [1, 0]] = 1000 - hits
    return PerImageConfusion(tuple(CITIES), matrices)


def seeds_of(record: Maker, method: str, percent: float, count: int = 5, **fields: object) -> list[Record]:
    return [record(method, percent + seed / 10, seed, **fields) for seed in range(count)]


def put(out: Path, records: list[Record]) -> None:
    """Records with their matrices, as runs leave them."""
    for one in records:
        path = matrices_path(out, one, "cityscapes/val")
        save_record(one, path.parents[1] / "record.json")
        confusion(round(one.scores[0].miou), one.seed).save(path)
