"""Pixels of each class in each label file of the labelled domain, kept in the cache by the files' content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

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
Found = TypeVar("Found")


class Pass(Protocol):
    """A pass over all items; a training makes one with several processes, and says how far it is."""

    def __call__(
        self, work: Callable[[LabelledItem], Found], items: Sequence[LabelledItem], /
    ) -> Iterable[Found]:
        """Results of ``work`` on every item, in order."""


def one_by_one(work: Callable[[LabelledItem], Found], items: Sequence[LabelledItem]) -> Iterable[Found]:
    """Every item in turn, in this process."""
    return map(work, items)


def class_counts(
    items: Sequence[LabelledItem], cache: Path, count: Count | None = None, over: Pass = one_by_one
) -> list[dict[int, int]]:
    """Pixels by train id of every label file, in the order of ``items``; ignored pixels are not counted.

    No other label file is opened. The folder ``cache`` keeps a file per set of contents, whatever the files
    are called; a changed file or label map is another entry. What it does not have is counted by ``count``, or in a
    pass ``over`` the items.

    Units: pixels of the label files, before any resizing.

    Raises:
        DataError: a label file is missing or damaged, or there is not one labelled pixel.
    """
    content = _content(items, over)
    kept = cache / f"{content}.counts.json"
    if kept.is_file():
        known = sealed_json.read(kept, "Delete it, and the labels are counted again.")["counts"]
        return [{int(name): pixels for name, pixels in one.items()} for one in known]
    counts = list(over(_counted, items)) if count is None else count(items)
    if not any(counts):
        raise DataError(
            f"Not one labelled pixel in {len(items)} label files, so there are no class statistics. Check that "
            "the labels are those of the official release and that their ids belong to the class set."
        )
    if _content(items, over) == content:  # else a file was changed while they were counted
        with suppress(RunStateError):  # a cache that cannot be written costs the counting, no more
            sealed_json.write(kept, {"counts": counts})
    return counts


def _counted(item: LabelledItem) -> dict[int, int]:
    dataset, sample, table = item
    return count_classes(train_ids(dataset.read_label(sample), table))


def _content(items: Sequence[LabelledItem], over: Pass) -> str:
    digest = hashlib.sha256()
    for (_, _, table), content in zip(items, over(_digest, items), strict=True):
        digest.update(hashlib.sha256(np.asarray(table).tobytes()).digest())
        digest.update(content)
    return digest.hexdigest()[:32]


def _digest(item: LabelledItem) -> bytes:
    """Of a label file; empty where there is none."""
    label = item[1].label
    return hashlib.sha256(archives.read_bytes(label)).digest() if archives.is_file(label) else b""
