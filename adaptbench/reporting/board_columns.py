"""The columns of leaderboards, each declared once, whichever table shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter

from adaptbench.records import formatting
from adaptbench.records.record import NetworkInfo, Score
from adaptbench.reporting import costs
from adaptbench.reporting.board import ACCURACY, MIOU, Board, OfRow, Row, Statistic, View
from adaptbench.reporting.columns import Column, machine, mean_and_std
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

    def statistic(self, quantity: str, view: View | None = None) -> Statistic | None:
        """Of the row, in this view or another one."""
        return self.row.statistics.get((view or self.view, quantity))


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


RANK: Column[OfRow] = Column(
    "rank", lambda e: e.row.rank or e.row.standing, key="rank", right=True, smaller_first=True
)
METHOD: Column[OfRow] = Column("method", lambda e: e.row.label, key="label", names_line=True)
NETWORK_NAME: Column[OfRow] = Column("network", lambda e: e.row.first.network.name, key="network")
SEED_COUNT: Column[OfRow] = Column("seeds", lambda e: len(e.row.seeds), key="n_seeds", right=True)
SEEDS: Column[OfRow] = Column(
    "seeds",
    lambda e: e.row.seeds,
    formatting.seed_list,
    parts={"n_seeds": len, "seeds": lambda seeds: " ".join(map(str, seeds))},
)
PRETRAINING: Column[OfRow] = Column(
    "pretraining", lambda e: e.row.first.network.pretraining, key="pretraining", terminal=190, filtered=True
)
SETTINGS: Column[OfRow] = Column("settings", lambda e: e.row.settings, filtered=True)
ITERATIONS: Column[OfRow] = Column(
    "iterations",
    lambda e: e.row.first.iterations,
    key="iterations",
    right=True,
    terminal=170,
    smaller_first=True,
)
ORIGIN: Column[OfRow] = Column("origin", lambda e: e.row.origin, key="origin", terminal=200)


def _network(network: NetworkInfo) -> str:
    weights = "" if network.weights == "student" else f", {network.weights}"
    return f"{network.name} ({formatting.parameters(network.parameters)}{weights})"


NETWORK: Column[OfRow] = Column(
    "network",
    lambda e: e.row.first.network,
    _network,
    parts={"network": attrgetter("name"), "parameters": attrgetter("parameters")},
    terminal=160,
    filtered=True,
)
INTERVAL: Column[Entry] = Column(
    "95 % interval",
    lambda e: e.row.interval if e.is_ranked_view else None,
    lambda interval: formatting.interval(*interval),
    parts={"miou_low": attrgetter("low"), "miou_high": attrgetter("high")},
    right=True,
    number=attrgetter("low"),
    terminal=130,
)
TESTED: Column[Entry] = Column(
    significance.HEADER,
    lambda e: significance.told(e.row, e.board, e.found) if e.found and e.is_ranked_view else None,
    parts={"p_best": attrgetter("p")},
    optional=True,
    terminal=110,
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


def _mean_and_deviation(key: str, quantity: str) -> Column[Entry]:
    """A quantity, with the names of its mean and its standard deviation."""
    return Column("", lambda e: e.statistic(quantity), parts=mean_and_std(key), right=True)


def miou(board: Board, view: View | None = None) -> Column[Entry]:
    """Mean IoU in a view of a board, the ranked one unless another is given; the best ranked rows are set apart."""
    column = _mean_and_deviation("miou" if view is None else f"miou:{view.class_set}:{view.split}", MIOU)
    of = view or board.view
    return replace(
        column,
        header=f"mIoU ({of})",
        value=lambda e: e.statistic(MIOU, of),
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


TIME = replace(costs.TRAINING_TIME, header="time", smaller_first=True)
DEVIATION: Column[Entry] = Column("std", lambda e: e.row.miou.std, right=True)


def main_columns(board: Board) -> list[Column[Entry]]:
    """The main table: rank, method, score, seeds, tests if there are any, network, settings, cost, further splits."""
    return [
        *(
            RANK,
            METHOD,
            miou(board),
            INTERVAL,
            SEEDS,
            TESTED,
            GAP,
            NETWORK,
            PRETRAINING,
            SETTINGS,
            ITERATIONS,
        ),
        *(TIME, costs.MEMORY, costs.DEVICE, ORIGIN),
        *(miou(board, view) for view in board.further),
    ]


def machine_columns(classes: Iterable[str]) -> list[Column[Entry]]:
    """Everything that is known, for a CSV over the boards that have these classes."""
    names = list(classes)
    return [
        machine("benchmark", lambda e: e.board.benchmark),
        machine("ranking_hash", lambda e: e.row.first.ranking_hash),
        machine("group_hash", lambda e: e.row.first.group_hash),
        machine("standing", lambda e: e.row.standing),
        RANK,
        machine("method", lambda e: e.row.first.method),
        METHOD,
        machine("method_version", lambda e: e.row.first.method_version),
        machine("tags", lambda e: " ".join(e.row.first.tags)),
        machine("oracle", lambda e: e.row.first.oracle),
        machine("smoke", lambda e: e.row.first.smoke),
        machine("profile", lambda e: e.row.first.profile),
        machine("setting", lambda e: e.row.first.setting),
        machine("split", lambda e: e.view.split),
        machine("class_set", lambda e: e.view.class_set),
        machine("ranked_split", lambda e: e.is_ranked_view),
        machine("provenance", lambda e: e.score.provenance),
        machine("images", lambda e: e.score.images),
        SEEDS,
        _mean_and_deviation("miou", MIOU),
        INTERVAL,
        TESTED,
        _mean_and_deviation("accuracy", ACCURACY),
        NETWORK,
        PRETRAINING,
        machine("scored_weights", lambda e: e.row.first.network.weights),
        machine("settings_origin", lambda e: e.row.first.settings_origin),
        machine("overrides", lambda e: formatting.assignments(e.row.first.overrides)),
        ITERATIONS,
        *costs.MACHINE_COLUMNS,
        ORIGIN,
        *map(class_iou, names),
        *map(_class_deviation, names),
        GAP,
    ]
