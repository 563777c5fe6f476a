"""The columns of leaderboards, each declared once, whichever table shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from operator import attrgetter

from adaptbench.records import formatting
from adaptbench.records.record import NetworkInfo, Score
from adaptbench.reporting import averaged, costs, streams
from adaptbench.reporting.board import ACCURACY, MIOU, Board, Row, Statistic, View
from adaptbench.reporting.columns import (
    NETWORK_PARTS,
    SEED_PARTS,
    Column,
    column,
    fields,
    machine,
    mean_and_std,
    number,
)
from adaptbench.reporting.mean_score import with_mean
from adaptbench.reporting.standing import gap, significance
from adaptbench.reporting.standing.significance import Significance


@dataclass(frozen=True)
class Entry:
    """A row of a board under one of the views it was scored on.

    Attributes:
        found: what the statistics say about the board, where it is known.
        gaps: percent of the gap that rows of the board close, by group hash.
    """

    board: Board
    row: Row
    view: View
    found: Significance | None
    gaps: Mapping[str, float]

    @property
    def is_ranked_view(self) -> bool:
        """Whether it decides the rank; what is known of the ranked split alone is empty in the others."""
        return self.view == self.board.view

    @property
    def gap_closed(self) -> float | None:
        """Percent; None where it is not known."""
        return self.gaps.get(self.row.first.group_hash) if self.is_ranked_view else None

    @property
    def told(self) -> str | None:
        """What the statistics say about the row."""
        found = self.found if self.is_ranked_view else None
        return significance.told(self.row, self.board, found) if found else None

    @property
    def p_best(self) -> float | None:
        """The corrected p-value of the difference to the best row, where it was tested."""
        return self.found.p.get(self.row.first.group_hash) if self.found and self.is_ranked_view else None

    @cached_property
    def score(self) -> Score:
        """Of the first seed that was scored on it: a seed may lack a further split."""
        scores = (score for record in self.row.records for score in with_mean(record))
        return next(score for score in scores if (score.class_set, score.split) == self.view)

    def statistic(self, quantity: str) -> Statistic | None:
        """Of the row in this view; None where it has none."""
        return self.row.statistics.get((self.view, quantity))


def entries(board: Board, rows: Sequence[Row], found: Significance | None = None) -> list[Entry]:
    """The rows under the ranked view."""
    gaps = gap.gaps_closed(board)
    return [Entry(board, row, board.view, found, gaps) for row in rows]


def entries_of_all_views(board: Board, rows: Sequence[Row], found: Significance | None = None) -> list[Entry]:
    """Some rows of the board under every view it was scored on."""
    return [
        replace(entry, view=view)
        for entry in entries(board, rows, found)
        for view in (board.view, *board.further)
        if (view, MIOU) in entry.row.statistics
    ]


def _network(network: NetworkInfo) -> str:
    weights = "" if network.weights == "student" else f", {network.weights}"
    return f"{network.name} ({formatting.parameters(network.parameters)}{weights})"


RANK = number("rank", lambda e: e.row.rank or e.row.standing, key="rank", smaller_first=True)
METHOD = column("method", "row.label", key="label", names_line=True)
NETWORK_NAME = column("network", "row.first.network.name", key="network")
WHY = column("why no place", lambda e: e.row.variant or None, key="variant", optional=True)
_COUNTED = number(
    "classes",
    lambda e: averaged.count(e.row) if averaged.differs(e.board) else None,
    number=lambda text: float(text.split()[0]),
    optional=True,
    terminal=110,
)
SEED_COUNT = number("seeds", lambda e: len(e.row.seeds), key="n_seeds")
SEEDS = column("seeds", "row.seeds", formatting.seed_list, parts=SEED_PARTS)
_PRETRAINING = column(
    "pretraining", "row.first.network.pretraining", key="pretraining", terminal=190, filtered=True
)
_SETTINGS = column("settings", "row.settings", key="settings", filtered=True)
_NETWORK = column("network", "row.first.network", _network, parts=NETWORK_PARTS, terminal=160, filtered=True)
_ITERATIONS = number("iterations", "row.first.iterations", key="iterations", terminal=170, smaller_first=True)
_TIME = replace(costs.TRAINING_TIME, header="time", smaller_first=True)
_ORIGIN = column("origin", "row.origin", key="origin", terminal=200)
_INTERVAL = number(
    "95 % interval",
    lambda e: e.row.interval if e.is_ranked_view else None,
    lambda interval: formatting.interval(*interval),
    parts={"miou_low": attrgetter("low"), "miou_high": attrgetter("high")},
    number=attrgetter("low"),
    terminal=130,
)
_TESTED = column(significance.HEADER, "told", key="against_the_best", optional=True, terminal=110)
GAP = number(gap.HEADER, "gap_closed", "{:.0f} %".format, "gap_closed", optional=True, terminal=140)


def _quantity(key: str, quantity: str) -> Column[Entry]:
    """Mean and standard deviation of a quantity in the view of a line."""
    return number("", lambda e: e.statistic(quantity), parts=mean_and_std(key))


def miou(board: Board, view: View | None = None) -> Column[Entry]:
    """Mean IoU in a view of a board, the ranked one unless another is given; the best ranked rows are set apart."""
    of = view or board.view
    return replace(
        _quantity("miou" if view is None else f"miou:{view.class_set}:{view.split}", MIOU),
        header=f"mIoU ({of})",
        value=lambda e: e.row.statistics.get((of, MIOU)),
        place=lambda e: board.place(e.row, of, MIOU),
        terminal=0 if view is None else 110 + 20 * board.further.index(view),
    )


def class_iou(name: str) -> Column[Entry]:
    """IoU of a class, mean over seeds."""
    return number(
        name,
        lambda e: e.statistic(name),
        lambda found: f"{found.mean:.1f}",
        parts={f"iou:{name}": attrgetter("mean")},
        place=lambda e: e.board.place(e.row, e.view, name),
        heat=True,
    )


def main_columns(board: Board) -> list[Column[Entry]]:
    """The main table: rank, method, score, seeds, tests if there are any, network, settings, cost, further splits."""
    return [
        *(RANK, METHOD, miou(board), _COUNTED, _INTERVAL, SEEDS, WHY, _TESTED, GAP),
        *streams.columns(board),
        *(_NETWORK, _PRETRAINING, _SETTINGS),
        *(
            _ITERATIONS,
            _TIME,
            costs.MEMORY,
            costs.PRECISION,
            costs.COMPILED,
            costs.PARTS,
            costs.DEVICE,
            _ORIGIN,
        ),
        *(miou(board, view) for view in board.further),
    ]


def tracked_columns(board: Board) -> list[Column[Entry]]:
    """For a table that is sorted elsewhere: numbers, and the IoU of every class."""
    place = replace(RANK, right=False)  # what is not ranked says as what it is shown
    classes = [replace(class_iou(name), header=f"IoU {name}") for name in board.classes]
    measured = [miou(board), number("std", "row.miou.std"), SEED_COUNT]
    described = [NETWORK_NAME, _PRETRAINING, _SETTINGS, costs.TRAINING_TIME, costs.MEMORY, costs.DEVICE]
    return [place, METHOD, *measured, *described, *classes]


def machine_columns(classes: Sequence[str]) -> list[Column[Entry]]:
    """Everything that is known, for a CSV over the boards that have these classes."""
    of_record = partial(fields, "row.first")
    deviations = [replace(class_iou(name), parts={f"iou_std:{name}": attrgetter("std")}) for name in classes]
    return [
        *(*of_record("benchmark", "ranking_hash", "group_hash"), *fields("row", "standing")),
        *(RANK, *of_record("method"), METHOD, *of_record("method_version")),
        machine("tags", lambda e: " ".join(e.row.first.tags)),
        *(*of_record("oracle", "smoke", "profile", "setting"), *fields("view", "split", "class_set")),
        machine("ranked_split", "is_ranked_view"),
        *(*fields("score", "provenance", "images"), SEEDS, _quantity("miou", MIOU), _INTERVAL),
        *(WHY, machine("n_classes", lambda e: averaged.count(e.row) if e.is_ranked_view else None)),
        *(machine("p_best", "p_best"), _quantity("accuracy", ACCURACY), _NETWORK, _PRETRAINING),
        machine("scored_weights", "row.first.network.weights"),
        *of_record("settings_origin"),
        machine("overrides", lambda e: formatting.assignments(e.row.first.overrides)),
        *(_ITERATIONS, *costs.MACHINE_COLUMNS, _ORIGIN),
        *(*map(class_iou, classes), *deviations, GAP),
    ]
