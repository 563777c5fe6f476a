"""The stored confusion matrices behind records, ready for statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset
from adaptbench.errors import PluginError, RunStateError, UsageError
from adaptbench.records.confusion_files import PerImageConfusion, matrices_path, without_round
from adaptbench.records.jobspec import load_job
from adaptbench.records.record import Record, folder_of
from adaptbench.statistics.tallies import Floats, tally


@dataclass(frozen=True)
class Tallied:
    """What the scores of a method on a split are made of.

    Attributes:
        tallies: hits, unions and truth per seed. Shape: ``(S, N, 3, C)``.
        truth: labelled pixels. Shape: ``(N, C)``.
        tags: facts about every image; empty where a run kept none.
    """

    names: tuple[str, ...]
    tallies: Floats
    truth: npt.NDArray[np.int64]
    tags: tuple[Mapping[str, str], ...]

    def same_images(self, other: Tallied) -> bool:
        """Whether both are of the same images with the same labels."""
        return self.names == other.names and np.array_equal(self.truth, other.truth)


def load_tallies(out: Path, records: Sequence[Record], split: str) -> Tallied:
    """The tallies of records that differ by seed alone.

    Raises:
        RunStateError: matrices are missing or damaged, or not of the same images with the same labels.
    """
    paths = [matrices_path(out, record, split) for record in records]
    each = [_load(path, _classes(record, split)) for path, record in zip(paths, records, strict=True)]
    for path, one in zip(paths, each, strict=True):
        if not one.same_images(each[0]):
            raise RunStateError(
                f"{path} is of other images, or of other labels, than {paths[0]}. Only scores on the same images can "
                "be compared: run both jobs on the same data."
            )
    return replace(each[0], tallies=np.concatenate([one.tallies for one in each]))


def cluster_names(out: Path, record: Record, split: str, names: Sequence[str]) -> list[str]:
    """The cluster of every image of ``split``, as its dataset says, also one that ``record`` was run with --plugins.

    An image of a dataset that is not to be found any more stands alone. One that comes in several rounds of a stream is
    in one cluster all the same.
    """
    try:
        named = load_job(folder_of(record, out)).plugins
        extra = tuple(map(str, plugins.named_by_results(named, out)))
    except RunStateError:
        extra = ()
    try:
        dataset: type[Dataset] = plugins.load(_registry(extra).find("dataset", split.partition("/")[0]))
    except (UsageError, PluginError):
        return list(map(without_round, names))
    return [dataset.cluster(without_round(name)) for name in names]


@lru_cache
def _registry(extra: tuple[str, ...]) -> plugins.Registry:
    return plugins.discover(path for path in map(Path, extra) if path.exists())


def _classes(record: Record, split: str) -> int | None:
    """Number of the classes of a score."""
    return next((len(score.iou) for score in record.scores if score.split == split), None)


def _load(path: Path, classes: int | None) -> Tallied:
    if not path.exists():
        raise RunStateError(
            f"{path} is missing: comparisons need the confusion matrices of every image, which a run keeps beside "
            "its record. Copy the whole job folder, or run the job again with --force."
        )
    found = PerImageConfusion.load(path)
    truth = found.matrices.sum(axis=2, dtype=np.int64)[:, :classes]
    return Tallied(found.names, tally(found.matrices, classes)[None], truth, found.tags)
