"""The report of other scores from stored confusion matrices: a page and a table per board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from adaptbench import storage
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
from adaptbench.reporting import words
from adaptbench.reporting.leaderboard import Cells, markdown_table
from adaptbench.reporting.record import Record, Score

_LEGEND = (
    "All scores are in percent, ± the standard deviation over seeds (n-1), from the confusion matrix that a run keeps "
    "of every picture. *N classes*: mean IoU of the head's own classes that occur. *Absent ones 0*: over all classes, "
    "as FADA's evaluator has it. *M of N classes, select*: the mean of M of the N IoUs; *ignore others*: pixels of the "
    "other classes are not counted, and predictions of them are missed; *x19/16*: the mean of 19, with 0 for absent "
    "ones, times 19/16. None of these is the score of a head that was trained with M classes. *Small objects* and "
    "*things*: mean IoU of such classes. *Per picture*: mean IoU of the classes labelled in a picture, and quantiles "
    "over pictures. Counts are integers and summed over the pictures before they are divided."
)
#: A tag with more values, such as the sequence of a picture, makes no table.
_MOST_VALUES = 20
_QUANTILES = {"worst 5 %": 0.05, "median": 0.5, "best 5 %": 0.95}

#: Section of the page -> column -> percent.
Sections = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Viewed:
    """The matrices of a run on one split.

    Attributes:
        record: of the job.
        score: of the split in the record; its classes are those of the matrices.
        kept: one matrix per picture.
    """

    record: Record
    score: Score
    kept: PerImageConfusion

    @property
    def split(self) -> str:
        """What the scores are of, in full: split, pictures and class set."""
        return f"{self.score.split}, {len(self.kept.names)} images, {self.score.class_set}"

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
        return class_views(self.score.class_set, len(self.score.iou))

    def _others(self, total: Matrix) -> dict[str, float]:
        found = {
            "pixel accuracy": accuracy(total),
            "mean class accuracy": mean_class_accuracy(total),
            "frequency-weighted IoU": frequency_weighted_iou(total),
        }
        for title, names in (("small objects", SMALL_OBJECTS), ("things", THINGS)):
            chosen = [index for index, name in enumerate(self.score.iou) if name in names]
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
    first = viewed[0].record
    page = folder / f"views-{first.benchmark.replace('/', '-')}-{first.ranking_hash[:8]}.md"
    storage.write_text(page, _markdown(viewed))
    storage.write_text(page.with_suffix(".csv"), _csv(viewed))
    return [page, page.with_suffix(".csv")]


def _markdown(viewed: Sequence[Viewed]) -> str:
    first = viewed[0].record
    smoke = " (smoke runs with --limit)" if first.smoke else ""
    parts = [f"# Other scores: {words.markdown(first.benchmark)}{smoke}", _LEGEND]
    splits: dict[str, list[Viewed]] = {}
    for one in viewed:
        splits.setdefault(one.split, []).append(one)
    for split, group in splits.items():
        parts += [f"## {words.markdown(split)}", *_tables(group)]
    return "\n\n".join(parts) + "\n"


def _tables(viewed: Sequence[Viewed]) -> list[str]:
    """A heading and a table per section; rows are jobs that differ by their seed alone."""
    groups: dict[str, list[Viewed]] = {}
    for one in viewed:
        groups.setdefault(one.record.group_hash, []).append(one)
    rows = sorted(groups.values(), key=lambda row: (row[0].record.method, row[0].record.group_hash))
    sections: dict[str, dict[str, None]] = {}
    for one in viewed:
        for section, scores in one.sections.items():
            sections.setdefault(section, {}).update(dict.fromkeys(scores))
    found = []
    for section, columns in sections.items():
        found += [f"### {section}", _table(rows, section, list(columns))]
    return found


def _table(rows: Sequence[Sequence[Viewed]], section: str, columns: Sequence[str]) -> str:
    described = ["method", "network", "settings", "seeds"]
    return markdown_table(
        Cells(
            headers=[*described, *columns],
            rows=[[*_described(row), *(_text(row, section, column) for column in columns)] for row in rows],
            best=frozenset(),
            numeric=frozenset(range(len(described), len(described) + len(columns))),
        )
    )


def _described(row: Sequence[Viewed]) -> list[str]:
    record = row[0].record
    settings = words.assignments(record.overrides) or "default"
    seeds = words.seed_list(one.record.seed for one in row)
    method = record.method + (" (oracle)" if record.oracle else "")
    return [method, record.network.name, settings, seeds]


def _text(row: Sequence[Viewed], section: str, column: str) -> str:
    values = np.array([one.sections.get(section, {}).get(column, np.nan) for one in row])
    if np.isnan(values).any():
        return words.MISSING
    deviation = f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else ""
    return f"{values.mean():.1f}{deviation}"


def _csv(viewed: Sequence[Viewed]) -> str:
    """One line per score."""
    import pandas as pd

    lines = [
        {
            "benchmark": one.record.benchmark,
            "method": one.record.method,
            "network": one.record.network.name,
            "overrides": words.assignments(one.record.overrides),
            "seed": one.record.seed,
            "split": one.score.split,
            "images": len(one.kept.names),
            "class_set": one.score.class_set,
            "section": section,
            "score": column,
            "percent": value,
            "job_hash": one.record.job_hash,
        }
        for one in viewed
        for section, columns in one.sections.items()
        for column, value in columns.items()
    ]
    return pd.DataFrame(lines).to_csv(index=False, float_format="%.4f", lineterminator="\n")
