"""The conditions and rounds of a stream, scored from the matrices of its images."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import numpy as np

from adaptbench.records.average import Average
from adaptbench.records.confusion_files import PerImageConfusion
from adaptbench.records.record import StreamPart


def stream_parts(found: PerImageConfusion, ranking: Mapping[str, Any], classes: int) -> list[StreamPart]:
    """The mean IoU of every condition in every round, in the order of the stream.

    Args:
        found: a matrix per image and round, tagged with the round and, where the stream has some, the condition.
        ranking: what the ranking hash was made from.
        classes: of a matrix, without void.
    """
    average, conditions = Average.of(ranking), ranking["stream"]["conditions"]

    def part_of(index: int) -> tuple[int, str]:
        facts = found.tags[index]
        return int(facts["round"]), facts["condition"] if conditions else ""

    parts = []
    for (number, condition), group in groupby(range(len(found.names)), key=part_of):
        of_part = list(group)
        miou = average.miou(found.matrices[of_part].sum(axis=0, dtype=np.int64), classes)
        value = None if np.isnan(miou) else 100 * miou
        parts.append(StreamPart(round=number, condition=condition, images=len(of_part), miou=value))
    return parts
