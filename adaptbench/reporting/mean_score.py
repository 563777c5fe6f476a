"""The mean of a record's scores over several splits, as if it were one more score."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from adaptbench.records.record import Record, Score


def with_mean(record: Record) -> list[Score]:
    """The scores of a record, and where its benchmark asks for it and all are there, their mean over targets."""
    averaged = [score for score in record.scores if score.split in record.averaged]
    if not averaged or len(averaged) < len(record.averaged):
        return record.scores
    return [*record.scores, _mean(averaged)]


def _mean(scores: Sequence[Score]) -> Score:
    """Means of the scores, every split counting alike; a class that one of them lacks has none."""
    first = scores[0]
    columns = {name: [score.iou.get(name) for score in scores] for name in first.iou}
    present = {name: [value for value in column if value is not None] for name, column in columns.items()}
    return Score(
        split=f"mean of {', '.join(score.split for score in scores)}",
        provenance="generated" if any(score.provenance == "generated" for score in scores) else "official",
        class_set=first.class_set,
        images=sum(score.images for score in scores),
        miou=fmean(score.miou for score in scores),
        iou={name: fmean(values) if len(values) == len(scores) else None for name, values in present.items()},
        accuracy=fmean(score.accuracy for score in scores),
    )
