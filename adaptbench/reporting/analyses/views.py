"""Other scores from stored confusion matrices, as ``analyse views`` reports them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from adaptbench.data.taxonomy import SMALL_OBJECTS, THINGS
from adaptbench.evaluation.class_views import class_views, closed
from adaptbench.evaluation.metrics import (
    accuracy,
    frequency_weighted_iou,
    mean_class_accuracy,
    per_image_miou,
)
from adaptbench.records.average import Average
from adaptbench.records.confusion_files import Matrix, PerImageConfusion
from adaptbench.reporting.analyses.analysis import Analysis, Measured, Quantity

_LEGEND = (
    "All scores are in percent, ± the standard deviation over seeds (n-1), from the confusion matrix that a "
    "run keeps of every image. *N classes*: mean IoU of the head's own classes in the truth; *labelled or "
    "predicted*: of those in truth or prediction, as cityscapesScripts has it; *absent ones 0*: of all, as "
    "FADA's evaluator has it. *M of N classes, select*: the mean of M of the N IoUs; *ignore others*: pixels "
    "of the other classes are not counted, and predictions of them are missed; *x19/16*: the mean of 19, with "
    "0 for absent ones, times 19/16, which is a mean of 16 only where the other three are never hit. None of "
    "these is the score of a head that was trained with M classes. *Small objects* and *things*: mean IoU of "
    "such classes in the truth. *Void counted*: void pixels of the truth are errors of the class predicted there; "
    "runs of older versions have not kept them. *Per image*: mean IoU of the classes labelled in an image, "
    "and quantiles over images. *By* condition, city or time of day: by the mean of the run's protocol. Counts are "
    "integers and summed over the images before they are divided."
)
#: A tag with more values, such as the sequence of an image, makes no table.
_MOST_VALUES = 20
_QUANTILES = {"worst 5 %": 0.05, "median": 0.5, "best 5 %": 0.95}

#: Section of the page -> column -> percent.
Sections = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Viewed(Measured):
    """The matrices of a run on one split, one per image."""

    class_set: str
    kept: PerImageConfusion

    @property
    def name(self) -> str:
        """Of the method."""
        return self.record.method + (" (oracle)" if self.record.oracle else "")

    def score(self, section: str, column: str) -> float:
        """One of them; NaN where it has none."""
        return self.sections.get(section, {}).get(column, float("nan"))

    @cached_property
    def sections(self) -> Sections:
        """All scores."""
        classes = len(self.classes)
        with_void = self.kept.total_with_void()
        total = closed(self.kept.total() if with_void is None else with_void, classes)
        views = class_views(self.class_set, classes, void_counts=bool(total[-1].any()))
        found: dict[str, dict[str, float]] = {
            "Mean IoU by class view": {view.name: view.miou(total) for view in views},
            "Other scores": self._others(total[:-1]),
            "Mean IoU per image": self._per_image(),
        }
        for tag in sorted({key for facts in self.kept.tags for key in facts}):
            totals = self.kept.totals_by(tag)
            if len(totals) <= _MOST_VALUES:
                average = Average.of(self.record.ranking)
                section = (
                    f"Mean IoU of {len(average.classes or self.classes)} classes by {tag.replace('_', ' ')}"
                )
                found[section] = {value: average.miou(matrix, classes) for value, matrix in totals.items()}
        return {
            section: {column: 100 * value for column, value in columns.items()}
            for section, columns in found.items()
        }

    def _others(self, labelled: Matrix) -> dict[str, float]:
        """From the rows of the classes; their pixels may be predicted as void, in the last column."""
        total = np.pad(labelled, ((0, 1), (0, 0)))
        found = {
            "pixel accuracy": accuracy(labelled),
            "mean class accuracy": mean_class_accuracy(labelled),
            "frequency-weighted IoU": frequency_weighted_iou(total),
        }
        for title, names in (("small objects", SMALL_OBJECTS), ("things", THINGS)):
            chosen = [index for index, name in enumerate(self.classes) if name in names]
            mean = Average(tuple(chosen)).miou(total) if chosen else float("nan")
            found[f"mIoU of {title} ({len(chosen)} classes)"] = mean
        return found

    def _per_image(self) -> dict[str, float]:
        each = per_image_miou(self.kept.matrices, len(self.classes))
        each = each[~np.isnan(each)]
        if not each.size:
            return dict.fromkeys(("mean", *_QUANTILES), float("nan"))
        quantiles = np.quantile(each, list(_QUANTILES.values()))
        return {"mean": float(each.mean()), **dict(zip(_QUANTILES, quantiles.tolist(), strict=True))}


def _quantities(one: Viewed) -> list[Quantity[Viewed]]:
    return [
        Quantity(column, partial(Viewed.score, section=section, column=column), section=section)
        for section, columns in one.sections.items()
        for column in columns
    ]


VIEWS = Analysis(
    name="views",
    title="Other scores",
    legend=_LEGEND,
    quantities=_quantities,
    facts=[("", "class_set", lambda one: one.class_set)],
    order=lambda row: (row.first.record.method, row.first.record.group_hash),
    about=lambda one: one.record.benchmark + (" (smoke runs with --limit)" if one.record.smoke else ""),
    part=lambda one: f"{one.split}, {one.images} images, {one.class_set}",
    heading="### {}",
    is_long=True,
)
