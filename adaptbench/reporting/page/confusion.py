"""The confusion matrix of a run: shares of the pixels of each true class, shaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adaptbench.errors import RunStateError
from adaptbench.records.confusion_files import PerImageConfusion
from adaptbench.records.record import Score
from adaptbench.reporting.page.tables import shade


@dataclass(frozen=True)
class Share:
    """A cell.

    Attributes:
        text: percent, rounded.
        exact: the same with a decimal, for the pointer; empty where that is zero.
        style: its colours; empty where the text is zero.
    """

    text: str
    exact: str
    style: str


@dataclass(frozen=True)
class Row:
    """A true class and what its pixels were predicted as; no shares where no pixel is labelled with it."""

    name: str
    shares: tuple[Share, ...]


@dataclass(frozen=True)
class Matrix:
    """What the template shows."""

    caption: str
    classes: tuple[str, ...]
    rows: tuple[Row, ...]


def confusion(file: Path, score: Score) -> Matrix | None:
    """The matrix of a score; None where its file is gone, damaged or of other classes.

    Args:
        file: matrices of the scored images.
        score: what they were scored as.
    """
    try:
        total = PerImageConfusion.load(file).total()
    except RunStateError:
        return None
    classes = tuple(score.iou)
    if len(classes) != len(total):
        return None
    caption = (
        f"Percent of the pixels of each true class (rows) that were predicted as each class (columns); "
        f"{score.images} images of {score.split}, {score.class_set}"
    )
    rows = tuple(Row(name, _shares(counts)) for name, counts in zip(classes, total.tolist(), strict=True))
    return Matrix(caption, classes, rows)


def _shares(counts: Sequence[int]) -> tuple[Share, ...]:
    truth = sum(counts)
    return tuple(_share(count / truth) for count in counts) if truth else ()


def _share(share: float) -> Share:
    text, exact = f"{100 * share:.0f}", f"{100 * share:.1f}"
    return Share(text, "" if exact == "0.0" else exact, "" if text == "0" else shade(round(share, 2)))
