"""Source-only training and the oracle on the committed boards, for boards that lack them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from adaptbench.errors import DataError
from adaptbench.planning.estimates import RESULTS, board_rows, committed_boards
from adaptbench.reporting.board import Statistic, View
from adaptbench.reporting.standing import gap
from adaptbench.reporting.standing.gap import Network


@dataclass(frozen=True)
class Control:
    """A control as a committed board has it: in its ranked view, with unchanged settings.

    Attributes:
        miou: percent.
    """

    benchmark: str
    ranking_hash: str
    view: View
    method: str
    network: Network
    miou: Statistic
    seeds: tuple[int, ...]


def load_controls(results: Path = RESULTS) -> tuple[Control, ...]:
    """The controls of the committed boards; none where there are no such files.

    Raises:
        DataError: a file is damaged.
    """
    return tuple(control for board in committed_boards(results) for control in _controls(board))


def _controls(path: Path) -> tuple[Control, ...]:
    try:
        return tuple(_control(row) for row in board_rows(path) if _counts(row))
    except (OSError, csv.Error, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} cannot be read ({error!r}). Restore it from the repository.") from error


def _counts(row: Mapping[str, str]) -> bool:
    """Whether it is a control, in the view that is ranked, of which nothing but the network was set."""
    changed = {part.partition("=")[0] for part in row["overrides"].split(", ") if part} - {"network"}
    return row["ranked_split"] == "True" and row["method"] in (gap.FLOOR, gap.CEILING) and not changed


def _control(row: Mapping[str, str]) -> Control:
    seeds = tuple(map(int, row["seeds"].split()))
    std = _percent(row["miou_std"]) if row["miou_std"] else None
    return Control(
        benchmark=row["benchmark"],
        ranking_hash=row["ranking_hash"],
        view=View(row["class_set"], row["split"]),
        method=row["method"],
        network=(row["network"], row["pretraining"]),
        miou=Statistic(_percent(row["miou_mean"]), std, len(seeds)),
        seeds=seeds,
    )


def _percent(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is no percentage")
    return value
