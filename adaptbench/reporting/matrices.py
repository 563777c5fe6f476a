"""The stored confusion matrices behind records, ready for statistics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from adaptbench import plugins
from adaptbench.errors import PluginError, RunStateError, UsageError
from adaptbench.evaluation.confusion import PerImageConfusion
from adaptbench.jobspec import job_folder
from adaptbench.reporting.record import Record
from adaptbench.statistics.tallies import Floats, tally


def matrices_path(out: Path, record: Record, split: str) -> Path:
    """Where the matrices of ``record`` on ``split`` (``dataset/split``) lie."""
    folder = job_folder(out, record.benchmark, record.method, record.seed, record.job_hash)
    return folder / "confusion" / f"{split.replace('/', '-', 1)}.npz"


def load_tallies(out: Path, records: Sequence[Record], split: str) -> tuple[tuple[str, ...], Floats]:
    """Names of the images of ``split``, and what the records' IoUs are made of.

    Shape: ``(S, N, 2, C)`` for S records.

    Raises:
        RunStateError: matrices are missing or damaged, or not of the same images.
    """
    loaded = [_load(matrices_path(out, record, split)) for record in records]
    names = loaded[0].names
    for record, one in zip(records, loaded, strict=True):
        if one.names != names:
            path = matrices_path(out, record, split)
            raise RunStateError(
                f"{path} holds other images than {matrices_path(out, records[0], split)} "
                f"({len(one.names)} and {len(names)}). Only scores on the same images can be compared: run both "
                "jobs on the same data."
            )
    return names, np.stack([tally(one.matrices) for one in loaded])


def cluster_names(registry: plugins.Registry, split: str, names: Sequence[str]) -> list[str]:
    """The cluster of every image of ``split``, as its dataset says.

    An image of a dataset that is not known here stands alone.
    """
    try:
        dataset = plugins.load(registry.find("dataset", split.partition("/")[0]))
    except (UsageError, PluginError):
        return list(names)
    return [dataset.cluster(name) for name in names]


def _load(path: Path) -> PerImageConfusion:
    if not path.exists():
        raise RunStateError(
            f"{path} is missing: comparisons need the confusion matrices of every image, which a run keeps beside "
            "its record. Copy the whole job folder, or run the job again with --force."
        )
    return PerImageConfusion.load(path)
