"""Class statistics of a labelled split, as rare class sampling will use them; counted once, kept by content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.plugins import Plugin
from adaptbench.data import minicity
from adaptbench.data.class_statistics import LabelledItem, class_counts
from adaptbench.data.rare_class_sampling import class_probabilities, class_totals
from adaptbench.data.sampling import RareClasses
from adaptbench.data.taxonomy import IGNORE, class_set, label_map
from adaptbench.inspection.findings import label_ids
from adaptbench.inspection.sample_pool import each_sample


@dataclass(frozen=True)
class ClassStatistics:
    """How often a class occurs.

    Attributes:
        pixels: of the class in all label files.
        share: of all pixels that count.
        images: that show it.
        probability: with which rare class sampling draws it, at the temperature of the papers.
    """

    name: str
    pixels: int
    share: float
    images: int
    probability: float

    def cells(self) -> tuple[str, ...]:
        """As a row of a table."""
        return (
            self.name,
            f"{self.pixels:,}",
            f"{100 * self.share:.3f} %",
            str(self.images),
            f"{100 * self.probability:.2f} %",
        )


def statistics(
    plugin: Plugin,
    dataset: Dataset,
    samples: Sequence[Sample],
    classes: str,
    tell: Callable[[int], None],
    workers: int | None = None,
) -> list[ClassStatistics]:
    """One entry per class of the class set, in its order; a DataError if not one pixel is labelled."""
    table = label_map(dataset.id_space, classes)

    def count(items: Sequence[LabelledItem]) -> list[dict[int, int]]:
        found = []
        chosen = [sample for _, sample, _ in items]
        for done, raw in enumerate(each_sample(plugin, dataset.root, chosen, label_ids, workers), start=1):
            found.append(mapped(raw, table.tolist()))
            tell(done)
        return found

    items = [(dataset, sample, table) for sample in samples]
    counts = class_counts(items, minicity.cache_folder() / "class-statistics", count)
    return _table(counts, class_set(classes).classes)


def mapped(raw: dict[int, int], table: Sequence[int]) -> dict[int, int]:
    """Pixels by train id from pixels by raw id, ascending; ignored pixels are not counted."""
    totals: dict[int, int] = {}
    for raw_id, pixels in raw.items():
        train_id = table[raw_id]
        if train_id != IGNORE:
            totals[train_id] = totals.get(train_id, 0) + pixels
    return dict(sorted(totals.items()))


def _table(counts: Sequence[dict[int, int]], names: Sequence[str]) -> list[ClassStatistics]:
    totals = class_totals(counts)
    drawn = class_probabilities(totals, RareClasses().temperature)
    probability = dict(zip(drawn.classes.tolist(), np.asarray(drawn.probabilities).tolist(), strict=True))
    everything = sum(totals.values())
    return [
        ClassStatistics(
            name=name,
            pixels=totals.get(train_id, 0),
            share=totals.get(train_id, 0) / everything,
            images=sum(train_id in one for one in counts),
            probability=probability.get(train_id, 0.0),
        )
        for train_id, name in enumerate(names)
    ]
