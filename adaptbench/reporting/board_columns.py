"""The columns of leaderboards, each declared once, whichever table shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from operator import attrgetter

from adaptbench.records import formatting
from adaptbench.records.record import NetworkInfo, Score
from adaptbench.reporting import costs
from adaptbench.reporting.board import ACCURACY, MIOU, Board, OfRow, Row, Statistic, View
from adaptbench.reporting.columns import NETWORK_PARTS, SEED_PARTS, Column, fields, machine, mean_and_std
from adaptbench.reporting.mean_score import with_mean
from adaptbench.reporting.standing import gap, significance
from adaptbench.reporting.standing.significance import Significance


@dataclass(frozen=True)
class Entry:
    """A row of a board under one of the views it was scored on.

    Attributes:
        found: what the statistics say about the board, where it is known.
        gap_closed: percent; None where it is not known.
    """

    board: Board
    row: Row
    view: View
    found: Significance | None
    gap_closed: float | None

    @property
    def is_ranked_view(self) -> bool:
        """Whether it decides the rank; what is known of the ranked split alone is empty in the others."""
        return self.view == self.board.view

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
    closed = gap.gaps_closed(board)
    return [Entry(board, row, board.view, found, closed.get(row.first.group_hash)) for row in rows]


def entries_of_all_views(board: Board, found: Significance | None = None) -> list[Entry]:
    """Every row of the board under every view it was scored on."""
    return [
        replace(entry, view=view)
        for entry in entries(board, board.all_rows, found)
        for view in (board.view, *board.further)
        if (view, MIOU) in entry.row.statistics
    ]


def _network(network: NetworkInfo) -> str:
    weights = "" if network.weights == "student" else f", {network.weights}"
    return f"{network.name} ({formatting.parameters(network.parameters)}{weights})"


RANK: Column[OfRow] = Column(
    "rank", lambda e: e.row.rank or e.row.standing, key="rank", right=True, smaller_first=True
)
METHOD: Column[OfRow] = Column("method", lambda e: e.row.label, key="label", names_line=True)
NETWORK_NAME: Column[OfRow] = Column("network", lambda e: e.row.first.network.name, key="network")
SEED_COUNT: Column[OfRow] = Column("seeds", lambda e: len(e.row.seeds), key="n_seeds", right=True)
SEEDS: Column[OfRow] = Column("seeds", lambda e: e.row.seeds, formatting.seed_list, parts=SEED_PARTS)
_PRETRAINING: Column[OfRow] = Column(
    "pretraining", lambda e: e.row.first.network.pretraining, key="pretraining", terminal=190, filtered=True
)
_SETTINGS: Column[OfRow] = Column("settings", lambda e: e.row.settings, filtered=True)
_DEVIATION: Column[OfRow] = Column("std", lambda e: e.row.miou.std, right=True)
_NETWORK: Column[OfRow] = Column(
    "network", lambda e: e.row.first.network, _network, parts=NETWORK_PARTS, terminal=160, filtered=True
)
_ITERATIONS: Column[OfRow] = Column(
    "iterations",
    lambda e: e.row.first.iterations,
    str,
    "iterations",
    right=True,
    terminal=170,
    smaller_first=True,
)
_TIME = replace(costs.TRAINING_TIME, header="time", smaller_first=True)
_ORIGIN: Column[OfRow] = Column("origin", lambda e: e.row.origin, key="origin", terminal=200)
_INTERVAL: Column[Entry] = Column(
    "95 % interval",
    lambda e: e.row.interval if e.is_ranked_view else None,
    lambda interval: formatting.interval(*interval),
    parts={"miou_low": attrgetter("low"), "miou_high": attrgetter("high")},
    right=True,
    number=attrgetter("low"),
    terminal=130,
)
_TESTED: Column[Entry] = Column(
    significance.HEADER,
    lambda e: significance.told(e.row, e.board, e.found) if e.found and e.is_ranked_view else None,
    optional=True,
    terminal=110,
)
_P = machine(
    "p_best", lambda e: e.found.p.get(e.row.first.group_hash) if e.found and e.is_ranked_view else None
)
GAP: Column[Entry] = Column(
    gap.HEADER,
    lambda e: e.gap_closed if e.is_ranked_view else None,
    lambda percent: f"{percent:.0f} %",
    key="gap_closed",
    right=True,
    optional=True,
    terminal=140,
)


def _quantity(key: str, quantity: str) -> Column[Entry]:
    """Mean and standard deviation of a quantity in the view of a line."""
    return Column("", lambda e: e.statistic(quantity), parts=mean_and_std(key), right=True)


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
    return Column(
        name,
        lambda e: e.statistic(name),
        lambda statistic: f"{statistic.mean:.1f}",
        parts={f"iou:{name}": attrgetter("mean")},
        right=True,
        place=lambda e: e.board.place(e.row, e.view, name),
        heat=True,
    )


def _class_deviation(name: str) -> Column[Entry]:
    return Column("", lambda e: e.statistic(name), parts={f"iou_std:{name}": attrgetter("std")})


def main_columns(board: Board) -> list[Column[Entry]]:
    """The main table: rank, method, score, seeds, tests if there are any, network, settings, cost, further splits."""
    return [
        *(RANK, METHOD, miou(board), _INTERVAL, SEEDS, _TESTED, GAP, _NETWORK, _PRETRAINING, _SETTINGS),
        *(_ITERATIONS, _TIME, costs.MEMORY, costs.DEVICE, _ORIGIN),
        *(miou(board, view) for view in board.further),
    ]


def tracked_columns(board: Board) -> list[Column[Entry]]:
    """For a table that is sorted elsewhere: numbers, and the IoU of every class."""
    place = replace(RANK, right=False)  # what is not ranked says as what it is shown
    classes = [replace(class_iou(name), header=f"IoU {name}") for name in board.classes]
    measured = [miou(board), _DEVIATION, SEED_COUNT]
    described = [NETWORK_NAME, _PRETRAINING, _SETTINGS, costs.TRAINING_TIME, costs.MEMORY, costs.DEVICE]
    return [place, METHOD, *measured, *described, *classes]


def machine_columns(classes: Sequence[str]) -> list[Column[Entry]]:
    """Everything that is known, for a CSV over the boards that have these classes."""
    of_record = partial(fields, "row.first")
    return [
        *(
            *fields("board", "benchmark"),
            *of_record("ranking_hash", "group_hash"),
            *fields("row", "standing"),
            RANK,
        ),
        *(*of_record("method"), METHOD, *of_record("method_version")),
        machine("tags", lambda e: " ".join(e.row.first.tags)),
        *(*of_record("oracle", "smoke", "profile", "setting"), *fields("view", "split", "class_set")),
        machine("ranked_split", lambda e: e.is_ranked_view),
        *(*fields("score", "provenance", "images"), SEEDS, _quantity("miou", MIOU), _INTERVAL, _P),
        *(_quantity("accuracy", ACCURACY), _NETWORK, _PRETRAINING),
        machine("scored_weights", lambda e: e.row.first.network.weights),
        *of_record("settings_origin"),
        machine("overrides", lambda e: formatting.assignments(e.row.first.overrides)),
        *(_ITERATIONS, *costs.MACHINE_COLUMNS, _ORIGIN),
        *(*map(class_iou, classes), *map(_class_deviation, classes), GAP),
    ]
