"""Which images methods disagree on most: where there is something to see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from adaptbench.data.taxonomy import IGNORE
from adaptbench.reporting.figures.leaderboard_image import StripRow

#: So many images of each kind are shown.
SHOWN = 4


class Choice(NamedTuple):
    """Images to show.

    Attributes:
        first: the first ones of the split, whatever they show.
        disputed: of the others those with the highest `dispute`, highest first.
    """

    first: list[StripRow]
    disputed: list[StripRow]


def dispute(row: StripRow) -> float:
    """Chance that two methods, drawn at random, differ on a labelled pixel drawn at random; 0 for a single method."""
    predictions = [ids[row.truth != IGNORE] for ids in row.predictions.values()]
    methods, pixels = len(predictions), len(predictions[0])
    if methods < 2 or pixels == 0:
        return 0.0
    agreeing = 0
    for index in np.unique(np.concatenate([np.unique(ids) for ids in predictions])):
        votes = np.sum([ids == index for ids in predictions], axis=0, dtype=np.int64)
        agreeing += int((votes * (votes - 1)).sum())
    return 1.0 - agreeing / (pixels * methods * (methods - 1))


def chosen(rows: Sequence[StripRow]) -> Choice:
    """The images of a board to show, out of all that its methods kept, in the order of the split."""
    first, others = list(rows[:SHOWN]), rows[SHOWN:]
    by_dispute = sorted(others, key=lambda row: (-dispute(row), row.name))
    return Choice(first, by_dispute[:SHOWN])
