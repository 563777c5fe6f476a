"""Pixels of each class in each label file of the labelled domain, kept in the cache by the files' content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from adaptbench.data import archives
from adaptbench.data.label_ids import train_ids
from adaptbench.data.rare_class_sampling import count_classes
from adaptbench.data.sample import Reader, Sample
from adaptbench.data.taxonomy import LabelMap
from adaptbench.errors import DataError, RunStateError
from adaptbench.storage import sealed_json

LabelledItem = tuple[Reader, Sample, LabelMap]
#: Pixels by train id of every item, in order.
Count = Callable[[Sequence[LabelledItem]], list[dict[int, int]]]


def one_by_one(items: Sequence[LabelledItem]) -> list[dict[int, int]]:
    """Pixels by train id of every label file, read one after the other."""
    return [count_classes(train_ids(dataset.read_label(sample), table)) for dataset, sample, table in items]


def class_counts(
    items: Sequence[LabelledItem], cache: Path, count: Count = one_by_one
) -> list[dict[int, int]]:
    """Pixels by train id of every label file, in the order of ``items``; ignored pixels are not counted.

    No other label file is opened. The folder ``cache`` keeps a file per set of contents, whatever the files
    are called; a changed file or label map is another entry. What it does not have is counted by ``count``.

    Units: pixels of the label files, before any resizing.

    Raises:
        DataError: a label file is missing or damaged, or there is not one labelled pixel.
    """
    kept = cache / f"{_content(items)}.counts.json"
    if kept.is_file():
        known = sealed_json.read(kept, "Delete it, and the labels are counted again.")["counts"]
        return [{int(name): pixels for name, pixels in one.items()} for one in known]
    counts = count(items)
    if not any(counts):
        raise DataError(
            f"Not one labelled pixel in {len(items)} label files, so there are no class statistics. Check that "
            "the labels are those of the official release and that their ids belong to the class set."
        )
    with suppress(RunStateError):  # a cache that cannot be written costs the counting, no more
        sealed_json.write(kept, {"counts": counts})
    return counts


def _content(items: Sequence[LabelledItem]) -> str:
    digest = hashlib.sha256()
    for _, sample, table in items:
        digest.update(hashlib.sha256(np.asarray(table).tobytes()).digest())
        if archives.is_file(sample.label):
            digest.update(hashlib.sha256(archives.read_bytes(sample.label)).digest())
    return digest.hexdigest()[:32]
