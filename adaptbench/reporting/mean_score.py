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
    iou: dict[str, float | None] = {}
    for name in scores[0].iou:
        found = [value for score in scores if (value := score.iou.get(name)) is not None]
        iou[name] = fmean(found) if len(found) == len(scores) else None
    return Score(
        split=f"mean of {', '.join(score.split for score in scores)}",
        provenance="generated" if any(score.provenance == "generated" for score in scores) else "official",
        class_set=scores[0].class_set,
        images=sum(score.images for score in scores),
        miou=fmean(score.miou for score in scores),
        iou=iou,
        accuracy=fmean(score.accuracy for score in scores),
    )
