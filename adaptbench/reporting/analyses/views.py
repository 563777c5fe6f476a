"""The report of other scores from stored confusion matrices: a page and a table per board."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from adaptbench.data.taxonomy import SMALL_OBJECTS, THINGS
from adaptbench.evaluation.class_views import ClassView, class_views
from adaptbench.evaluation.confusion import Matrix, PerImageConfusion
from adaptbench.evaluation.conventions import closed
from adaptbench.evaluation.metrics import (
    accuracy,
    frequency_weighted_iou,
    iou,
    mean_class_accuracy,
    miou,
    per_image_miou,
)
from adaptbench.records import formatting
from adaptbench.reporting.analyses.analysis import Measured, Row, grouped, mean_and_deviation, write_report
from adaptbench.reporting.table import Table, text_columns

_LEGEND = (
    "All scores are in percent, ± the standard deviation over seeds (n-1), from the confusion matrix that a run "
    "keeps of every picture. *N classes*: mean IoU of the head's own classes that occur. *Absent ones 0*: over "
    "all classes, as FADA's evaluator has it. *M of N classes, select*: the mean of M of the N IoUs; *ignore "
    "others*: pixels of the other classes are not counted, and predictions of them are missed; *x19/16*: the mean "
    "of 19, with 0 for absent ones, times 19/16, which is a mean of 16 only where the other three are never hit. "
    "None of these is the score of a head that was trained with M classes. *Small objects* and *things*: mean IoU "
    "of such classes. *Per picture*: mean IoU of the classes labelled in a picture, and quantiles over pictures. "
    "Counts are integers and summed over the pictures before they are divided."
)
#: A tag with more values, such as the sequence of a picture, makes no table.
_MOST_VALUES = 20
_QUANTILES = {"worst 5 %": 0.05, "median": 0.5, "best 5 %": 0.95}

#: Section of the page -> column -> percent.
Sections = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Viewed(Measured):
    """The matrices of a run on one split.

    Attributes:
        class_set: name of the classes.
        kept: one matrix per picture.
    """

    class_set: str
    kept: PerImageConfusion

    @property
    def title(self) -> str:
        """What the scores are of: split, pictures and class set."""
        return f"{self.split}, {self.images} images, {self.class_set}"

    @cached_property
    def sections(self) -> Sections:
        """All scores."""
        total = self.kept.total()
        found: dict[str, dict[str, float]] = {
            "Mean IoU by class view": {view.name: view.miou(closed(total)) for view in self._views},
            "Other scores": self._others(total),
            "Mean IoU per picture": self._per_picture(),
        }
        for tag in sorted({key for facts in self.kept.tags for key in facts}):
            totals = self.kept.totals_by(tag)
            if len(totals) <= _MOST_VALUES:
                section = f"Mean IoU of {len(total)} classes by {tag.replace('_', ' ')}"
                found[section] = {value: miou(matrix) for value, matrix in totals.items()}
        return {
            section: {column: 100 * value for column, value in columns.items()}
            for section, columns in found.items()
        }

    @property
    def _views(self) -> list[ClassView]:
        return class_views(self.class_set, len(self.classes))

    def _others(self, total: Matrix) -> dict[str, float]:
        found = {
            "pixel accuracy": accuracy(total),
            "mean class accuracy": mean_class_accuracy(total),
            "frequency-weighted IoU": frequency_weighted_iou(total),
        }
        for title, names in (("small objects", SMALL_OBJECTS), ("things", THINGS)):
            chosen = [index for index, name in enumerate(self.classes) if name in names]
            known = iou(total)[chosen]
            known = known[~np.isnan(known)]
            mean = float(known.mean()) if known.size else float("nan")
            found[f"mIoU of {title} ({len(chosen)} classes)"] = mean
        return found

    def _per_picture(self) -> dict[str, float]:
        each = per_image_miou(self.kept.matrices)
        each = each[~np.isnan(each)]
        if not each.size:
            return dict.fromkeys(("mean", *_QUANTILES), float("nan"))
        quantiles = np.quantile(each, list(_QUANTILES.values()))
        return {"mean": float(each.mean()), **dict(zip(_QUANTILES, quantiles.tolist(), strict=True))}


def write_views(viewed: Sequence[Viewed], folder: Path) -> list[Path]:
    """Writes ``views-BOARD-HASH8`` as .md and .csv, of runs under one protocol.

    Raises:
        RunStateError: the folder cannot be written.
    """
    lines = [line for one in viewed for line in _lines(one)]
    return write_report(folder, "views", viewed[0].record, _markdown(viewed), lines, None, 4)


def _markdown(viewed: Sequence[Viewed]) -> str:
    first = viewed[0].record
    smoke = " (smoke runs with --limit)" if first.smoke else ""
    parts = [f"# Other scores: {formatting.markdown(first.benchmark)}{smoke}", _LEGEND]
    for group in grouped(viewed, lambda one: one.title):
        parts += [f"## {formatting.markdown(group[0].title)}", *_tables(group)]
    return "\n\n".join(parts) + "\n"


def _tables(viewed: Sequence[Viewed]) -> list[str]:
    """A heading and a table per section; rows are jobs that differ by their seed alone."""
    rows = [Row(group) for group in grouped(viewed, lambda one: one.record.group_hash)]
    rows.sort(key=lambda row: (row.first.record.method, row.first.record.group_hash))
    sections: dict[str, dict[str, None]] = {}
    for one in viewed:
        for section, scores in one.sections.items():
            sections.setdefault(section, {}).update(dict.fromkeys(scores))
    found = []
    for section, columns in sections.items():
        found += [f"### {section}", _table(rows, section, list(columns))]
    return found


def _table(rows: Sequence[Row[Viewed]], section: str, columns: Sequence[str]) -> str:
    described = ["method", "network", "settings", "seeds"]
    return Table(
        text_columns([*described, *columns], range(len(described), len(described) + len(columns))),
        [[*_described(row), *(_text(row, section, column) for column in columns)] for row in rows],
    ).to_markdown()


def _described(row: Row[Viewed]) -> list[str]:
    record = row.first.record
    method = record.method + (" (oracle)" if record.oracle else "")
    return [method, record.network.name, row.settings or "default", row.seeds]


def _text(row: Row[Viewed], section: str, column: str) -> str:
    values = [one.sections.get(section, {}).get(column, float("nan")) for one in row.measured]
    return mean_and_deviation(values, 1)


def _lines(one: Viewed) -> Iterator[dict[str, Any]]:
    """One line per score."""
    for section, scores in one.sections.items():
        for name, value in scores.items():
            score = {"class_set": one.class_set, "section": section, "score": name, "percent": value}
            yield {**one.columns(), **score, "job_hash": one.record.job_hash}
