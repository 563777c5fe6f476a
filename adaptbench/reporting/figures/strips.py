"""Images with what methods predicted of them: which are shown, and how they are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adaptbench.data.taxonomy import IGNORE, ClassSet
from adaptbench.drawing.contact_sheet import Column, Panel, contact_sheet, panel_width

Pixels = npt.NDArray[np.uint8]

#: So many images of each kind are shown.
SHOWN = 4
#: Units: pixels.
_WIDTH = 1200


@dataclass(frozen=True)
class StripRow:
    """One image with its ground truth and what methods predicted.

    Shape: image ``(H, W, 3)`` RGB uint8; truth and every prediction ``(H, W)`` uint8 train ids, 255 = ignore.

    Attributes:
        predictions: method label -> prediction, in the order of the columns.
    """

    name: str
    image: Pixels
    truth: Pixels
    predictions: Mapping[str, Pixels]

    @property
    def maps(self) -> list[Pixels]:
        """Ground truth and predictions."""
        return [self.truth, *self.predictions.values()]


def dispute(row: StripRow) -> float:
    """Chance that two methods, drawn at random, differ on a labelled pixel drawn at random; 0 for a single method."""
    predictions = [ids[row.truth != IGNORE] for ids in row.predictions.values()]
    methods, pixels = len(predictions), len(predictions[0])
    if methods < 2 or pixels == 0:
        return 0.0
    agreeing = 0
    for index in np.unique(predictions):
        votes = np.sum([ids == index for ids in predictions], axis=0, dtype=np.int64)
        agreeing += int((votes * (votes - 1)).sum())
    return 1.0 - agreeing / (pixels * methods * (methods - 1))


def chosen(rows: Sequence[StripRow]) -> tuple[list[StripRow], list[StripRow]]:
    """Of all images that the methods kept the first of the split, and of the others those with the most `dispute`."""
    by_dispute = sorted(rows[SHOWN:], key=lambda row: (-dispute(row), row.name))
    return list(rows[:SHOWN]), by_dispute[:SHOWN]


def prediction_strips(rows: Sequence[StripRow], path: Path, classes: ClassSet) -> None:
    """Draws a sheet: a row per image, columns image, ground truth and one per method, legend below.

    Pixels ignored in the ground truth are black. About 1200 pixels wide. There is at least one row, and all are of the
    same methods.

    Raises:
        ValueError: an id outside the class set.
    """
    used = {int(i) for row in rows for ids in row.maps for i in np.unique(ids)}
    outside = sorted(i for i in used if i >= len(classes) and i != IGNORE)
    if outside:
        raise ValueError(f"{', '.join(row.name for row in rows)}: ids {outside} are not in {classes.name}")
    columns = [Column("image", [Panel(row.image, row.name) for row in rows])]
    for i, title in enumerate(["ground truth", *rows[0].predictions]):
        columns.append(Column(title, [Panel(classes.colours[row.maps[i]], smooth=False) for row in rows]))
    contact_sheet(columns, [], classes.legend(used), path, panel_width(len(columns), _WIDTH))
