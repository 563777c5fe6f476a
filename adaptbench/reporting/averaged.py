"""Which classes the mean IoU of a board is over, in words."""

from __future__ import annotations

from adaptbench.data.taxonomy import CLASS_SETS
from adaptbench.records import formatting
from adaptbench.records.average import Average
from adaptbench.reporting.board import Board, Row


def average_of(board: Board) -> Average:
    """The mean of a board; smoke runs below it may have one of their own."""
    return Average.of(board.all_rows[0].first.ranking)


def differs(board: Board) -> bool:
    """Whether the number of averaged classes is marked in every row: it may differ from row to row."""
    return average_of(board).absent != "labelled" or len(board.counted) > 1


def count(row: Row) -> str:
    """Number of classes behind the mean IoU of a row, or of its seeds."""
    low, high = min(row.counted), max(row.counted)
    return str(low) if low == high else f"{low} to {high}"


def sentence(board: Board) -> str:
    """Over which classes the mean is, and which of them no source image shows."""
    return " ".join(filter(None, [_over(board), _unseen(board)]))


def unseen(board: Board) -> list[str]:
    """Averaged classes that no source image shows, as far as the records say."""
    named = {name for record in board.records if not record.smoke for name in record.unseen or ()}
    return [name for name in board.classes if name in named]


def _over(board: Board) -> str:
    absent, classes = average_of(board).absent, _averaged(board)
    if absent == "zero":
        return (
            f"The mean is over all {len(classes)} classes; one in neither truth nor prediction counts as 0."
        )
    if absent == "skip":
        return (
            "The mean is over the classes in truth or prediction: one that is not in the truth counts 0 for rows "
            "that predict it and is left out for the others. The column classes says how many each row averages."
        )
    counted = [
        name for name in classes if any((board.view, name) in row.statistics for row in board.all_rows)
    ]
    lacking = [name for name in classes if name not in counted]
    said = f"The mean is over the {len(counted)} classes in the truth of the split, for every row the same"
    return f"{said}; not in it: {formatting.enumeration(lacking)}." if lacking else f"{said}."


def _unseen(board: Board) -> str:
    names = unseen(board)
    return f"No source image shows {formatting.enumeration(names)}, which the mean counts." if names else ""


def _averaged(board: Board) -> list[str]:
    known = CLASS_SETS.get(board.view.class_set)
    averaged = known.averaged if known else None
    return list(board.classes) if averaged is None else [board.classes[c] for c in averaged]
