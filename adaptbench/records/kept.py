"""Records as they lie in a results folder, with the mean of today.

Up to version 4 the usual protocol averaged over the classes in truth or prediction, which differed from row to row.
The confusion matrices beside a record say what its mean over the classes in the truth is, so it is made anew from
them whenever the record is read; the file stays as it is. A record whose matrices are gone keeps its mean, and with
it a ranking hash that no new record has: it stands on a board of its own, whose protocol says why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adaptbench.data.taxonomy import CLASS_SETS
from adaptbench.errors import RunStateError
from adaptbench.records.average import Average
from adaptbench.records.confusion_files import Matrix, PerImageConfusion, matrices_file
from adaptbench.records.jobspec import content_hash
from adaptbench.records.record import SCHEMA_VERSION, Record, Score, load_record

#: The first version whose usual mean is over the classes in the truth.
_SINCE = 5
#: A way to count absent classes -> its name in the identity of a job that was averaged otherwise by version 4.
_IN_IDENTITY = {"labelled": "skip", "skip": "occurring"}
_log = logging.getLogger(__name__)


def load_kept(path: Path) -> Record:
    """Reads and validates a record, and makes its mean anew if an earlier version made it otherwise.

    Raises:
        RunStateError: it is damaged, or written by a newer version.
    """
    record = load_record(path)
    if not _made_otherwise(record):
        return record
    try:
        return current(
            record, lambda split: PerImageConfusion.load(matrices_file(path.parent, split)).total()
        )
    except RunStateError as error:
        _log.warning(
            "%s is of version %d, whose mean was over the classes in truth or prediction, and cannot be made anew: %s "
            "It stays on a board of its own. Run the job again with --force to have it ranked with others.",
            *(path, record.schema_version, error),
        )
        return record


def current(record: Record, total: Callable[[str], Matrix]) -> Record:
    """The record under the usual protocol of today, if it was made under that of its time; ``total`` sums a split."""
    if not _made_otherwise(record):
        return record
    ranking = {**record.ranking, "absent_classes": "labelled"}
    return record.model_copy(
        update={
            "schema_version": SCHEMA_VERSION,
            "ranking": ranking,
            "ranking_hash": content_hash(ranking),
            "scores": [_rescored(score, total(score.split)) for score in record.scores],
        }
    )


def identity(ranking: Mapping[str, Any]) -> dict[str, Any]:
    """What of a ranking is part of a job's identity.

    Where the last iterate is scored, the mean over classes decides neither weights nor matrices: such jobs are named as
    they were in version 4, and are found again.
    """
    if not _usual(ranking):
        return dict(ranking)
    absent = ranking.get("absent_classes")
    return {**ranking, "absent_classes": _IN_IDENTITY.get(str(absent), absent)}


def _usual(ranking: Mapping[str, Any]) -> bool:
    """Whether a number is of the usual protocol, and of weights that no mean has chosen."""
    return "protocol" not in ranking and ranking.get("checkpoint") == "last"


def _made_otherwise(record: Record) -> bool:
    skips = record.ranking.get("absent_classes") == "skip"
    return record.schema_version < _SINCE and skips and _usual(record.ranking)


def _rescored(score: Score, total: Matrix) -> Score:
    """The same score with the mean, and the classes, of today.

    Raises:
        RunStateError: the matrix is not of the score's classes.
    """
    if len(total) != len(score.iou):
        raise RunStateError(f"{score.split} has matrices of {len(total)} classes, not of {len(score.iou)}.")
    known = CLASS_SETS.get(score.class_set)
    average = Average(known.averaged if known else None)
    iou = average.iou_of(total)
    each = (None if np.isnan(value) else 100 * float(value) for value in iou)
    return score.model_copy(
        update={"miou": 100 * float(average.mean(iou)), "iou": dict(zip(score.iou, each, strict=True))}
    )
