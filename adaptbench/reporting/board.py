"""Boards: records grouped over seeds and ranked within one ranking hash. Pure functions of records."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Literal, NamedTuple, Self

from adaptbench.contracts.precision import is_usual
from adaptbench.records import formatting, start
from adaptbench.records.average import Average
from adaptbench.records.found import in_order
from adaptbench.records.record import Record, Score
from adaptbench.reporting.mean_score import with_mean
from adaptbench.reporting.row_names import details
from adaptbench.statistics.student import Interval, t_interval

Standing = Literal["ranked", "variant", "control", "oracle", "smoke"]

#: Quantities of a score beside the IoU of a class; written so that no class name can equal them.
MIOU = "(mean IoU)"
ACCURACY = "(pixel accuracy)"


class View(NamedTuple):
    """What a number was scored on; no mIoU is printed without it."""

    class_set: str
    split: str

    def __str__(self) -> str:
        return f"{self.class_set}, {self.split}"


class Statistic(NamedTuple):
    """Mean over seeds and standard deviation (n-1; None for a single seed), in percent.

    ``n`` is the number of seeds in which the class occurs.
    """

    mean: float
    std: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of the values of several seeds, at least one."""
        std = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), std, len(values))

    def __float__(self) -> float:
        return self.mean

    def __str__(self) -> str:
        return f"{self.mean:.1f}" if self.std is None else f"{self.mean:.1f} ± {self.std:.1f}"


@dataclass(frozen=True)
class Row:
    """Records that differ by seed alone.

    Attributes:
        details: what tells the row from others of its method; empty where it is the only one.
        standing: whether the row takes part in the ranking, and if not, as what it is shown.
        rank: place among the ranked rows, equal means share one; None where not ranked.
        variant: why the row stands in the second table, without a place; empty where it stands in the first.
        records: one per seed, by seed.
        statistics: view and quantity (a class name, `MIOU` or `ACCURACY`) -> statistic.
    """

    details: str
    standing: Standing
    rank: int | None
    variant: str
    records: tuple[Record, ...]
    statistics: Mapping[tuple[View, str], Statistic]

    @property
    def first(self) -> Record:
        """The record of the lowest seed: the fields that all records of the row share."""
        return self.records[0]

    @property
    def label(self) -> str:
        """Name of the method, with the details."""
        return f"{self.first.method} ({self.details})" if self.details else self.first.method

    @property
    def seeds(self) -> tuple[int, ...]:
        """In ascending order."""
        return tuple(record.seed for record in self.records)

    @property
    def miou(self) -> Statistic:
        """Mean IoU in the ranked view."""
        return self.statistics[view(self.first.scores[0]), MIOU]

    @property
    def miou_by_seed(self) -> tuple[float, ...]:
        """Mean IoU of every seed in the ranked view, percent."""
        return tuple(record.scores[0].miou for record in self.records)

    @cached_property
    def counted(self) -> tuple[int, ...]:
        """Number of classes behind the mean IoU of every seed in the ranked view."""
        average = Average.of(self.first.ranking)
        return tuple(average.counted(list(record.scores[0].iou.values())) for record in self.records)

    @property
    def interval(self) -> Interval | None:
        """95 % t interval of the mean IoU in the ranked view, over seeds; None for a single one."""
        return t_interval(self.miou_by_seed)

    @property
    def training_seconds(self) -> float:
        """Mean training time over the seeds, seconds."""
        return sum(record.cost.training_seconds for record in self.records) / len(self.records)

    @property
    def evaluation_seconds(self) -> float:
        """Mean evaluation time over the seeds, seconds."""
        return sum(record.cost.evaluation_seconds for record in self.records) / len(self.records)

    @property
    def peak_memory_mib(self) -> float:
        """Highest memory of any seed, MiB."""
        return max(record.cost.peak_memory_mib for record in self.records)

    @property
    def devices(self) -> str:
        """Where the seeds were trained."""
        return ", ".join(sorted({record.cost.device for record in self.records}))

    @property
    def origin(self) -> str:
        """Who ran the seeds: ``maintainer``, ``submitted``, or how many of each."""
        counts = Counter(record.origin for record in self.records)
        return ", ".join(
            f"{n} {origin}" if len(counts) > 1 else origin for origin, n in sorted(counts.items())
        )

    @property
    def settings(self) -> str:
        """Where the settings come from, then everything the user changed."""
        return "; ".join(
            filter(None, [self.first.settings_origin, formatting.assignments(self.first.overrides)])
        )


@dataclass(frozen=True)
class Board:
    """One benchmark under one protocol.

    Attributes:
        rows: the default settings of every method, best mean first, with as many seeds as the most complete of
            them; controls and oracles stand among the ranked rows where their score puts them, without a place.
        variants: the other rows that are no smoke runs, best mean first, none of them with a place.
        smoke: groups of ``--limit`` runs, never ranked; each may have a protocol of its own.
        departs: in which points the protocol differs from the benchmark's first board.
    """

    benchmark: str
    title: str
    ranking_hash: str
    protocol: str
    departs: str
    view: View
    classes: tuple[str, ...]
    further: tuple[View, ...]
    rows: tuple[Row, ...]
    variants: tuple[Row, ...]
    smoke: tuple[Row, ...]

    @property
    def finished(self) -> tuple[Row, ...]:
        """Rows, then variants."""
        return self.rows + self.variants

    @property
    def all_rows(self) -> tuple[Row, ...]:
        """Rows, then variants, then smoke rows."""
        return self.finished + self.smoke

    @property
    def records(self) -> list[Record]:
        """All records behind it."""
        return [record for row in self.all_rows for record in row.records]

    @cached_property
    def ranked(self) -> tuple[Row, ...]:
        """The rows that take part in the ranking, best first."""
        return tuple(row for row in self.rows if row.standing == "ranked")

    @cached_property
    def counted(self) -> frozenset[int]:
        """The numbers of classes behind the means of all finished rows and their seeds."""
        return frozenset(count for row in self.finished for count in row.counted)

    @property
    def images(self) -> int:
        """Number of images behind the ranked score."""
        return self.all_rows[0].first.scores[0].images

    def datasets(self, provenance: str) -> list[str]:
        """Datasets of the given provenance (``generated``, ``official``), sorted."""
        known = (named for record in self.records for named in record.data.items())
        return sorted({name for name, facts in known if facts.get("provenance") == provenance})

    @cached_property
    def data_kind(self) -> Literal["generated", "mixed", "official"]:
        """Whether the images behind the numbers are generated: all, some, or none of them."""
        if not (self.benchmark.startswith("minicity/") or self.datasets("generated")):
            return "official"
        return "mixed" if self.datasets("official") else "generated"

    def place(self, row: Row, of: View, quantity: str) -> int | None:
        """The place of a row among the ranked ones by the mean of a quantity; equal means share one."""
        if row.standing != "ranked" or (of, quantity) not in row.statistics:
            return None
        means = {one.statistics[of, quantity].mean for one in self.ranked if (of, quantity) in one.statistics}
        return 1 + sum(mean > row.statistics[of, quantity].mean for mean in means)


def view(score: Score) -> View:
    """What ``score`` was scored on."""
    return View(score.class_set, score.split)


def is_changed(record: Record) -> bool:
    """Whether settings of the method were changed; the dials of the generated world are a board's."""
    return any(not key.startswith("minicity.") for key in formatting.flatten(record.overrides))


def standing(record: Record) -> Standing:
    """How a record is shown. Target labels outweigh every other mark; a smoke run is nothing else."""
    if record.smoke:
        return "smoke"
    if record.oracle or "oracle" in record.tags:
        return "oracle"
    return "control" if "control" in record.tags else "ranked"


def boards(records: Iterable[Record]) -> list[Board]:
    """All boards of ``records``: by benchmark, within it the protocol without overrides first.

    The result depends on the set of records alone, not on their order.
    """
    return [
        board
        for _, group in groupby(in_order(records), key=lambda record: record.benchmark)
        for board in _boards_of_benchmark(list(group))
    ]


def _boards_of_benchmark(records: Sequence[Record]) -> list[Board]:
    """One board per protocol. Smoke runs, whatever their protocol, go below the first board of their view."""
    finished: dict[tuple[str, View], list[Record]] = {}
    smoke: dict[View, list[Record]] = {}
    for record in records:
        seen = view(record.scores[0])
        if record.smoke:
            smoke.setdefault(seen, []).append(record)
        else:
            finished.setdefault((record.ranking_hash, seen), []).append(record)

    def plain_and_many_first(group: Sequence[Record]) -> tuple[int, int, str]:
        return min(len(record.overrides) for record in group), -len(group), group[0].ranking_hash

    ordered = sorted(finished.values(), key=plain_and_many_first)
    groups = [[*group, *smoke.pop(view(group[0].scores[0]), [])] for group in ordered]
    groups += [smoke[seen] for seen in sorted(smoke)]
    return [_board(group, groups[0][0]) for group in groups]


def _board(records: Sequence[Record], reference: Record) -> Board:
    """The board of finished records of one protocol, which come first, and of smoke records."""
    first = records[0]
    ranked_view = view(first.scores[0])
    rows = _placed(_rows(record for record in records if not record.smoke))
    views = dict.fromkeys(view(score) for record in records for score in with_mean(record))
    return Board(
        benchmark=first.benchmark,
        title=first.benchmark_title,
        ranking_hash=first.ranking_hash,
        protocol=formatting.protocol(first.ranking),
        departs=formatting.protocol_difference(first.ranking, reference.ranking),
        view=ranked_view,
        classes=tuple(dict.fromkeys(name for record in records for name in record.scores[0].iou)),
        further=tuple(one for one in views if one != ranked_view),
        rows=tuple(row for row in rows if not row.variant),
        variants=tuple(row for row in rows if row.variant),
        smoke=tuple(_rows(record for record in records if record.smoke)),
    )


def _statistics(records: Sequence[Record]) -> dict[tuple[View, str], Statistic]:
    """Mean, standard deviation and count of every quantity of a group."""
    numbers: dict[tuple[View, str], list[float]] = {}
    for record in records:
        for score in with_mean(record):
            for quantity, number in {MIOU: score.miou, ACCURACY: score.accuracy, **score.iou}.items():
                if number is not None:
                    numbers.setdefault((view(score), quantity), []).append(number)
    return {key: Statistic.of(found) for key, found in numbers.items()}


def _rows(records: Iterable[Record]) -> list[Row]:
    """One row per group, best first; equal means are ordered by label."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.group_hash, []).append(record)
    told = details({key: group[0] for key, group in groups.items()})
    rows = [
        Row(told[key], standing(group[0]), None, "", tuple(group), _statistics(group))
        for key, group in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row.miou.mean, row.label, row.first.group_hash))


def _placed(rows: Sequence[Row]) -> list[Row]:
    """The rows with their places, those with equal means sharing one, and the variants without."""
    reasons = _variants(rows)
    means = [row.miou.mean for row in rows if row.standing == "ranked" and not reasons[row.first.group_hash]]
    placed = []
    for row in rows:
        variant = reasons[row.first.group_hash]
        if row.standing != "ranked":
            placed.append(replace(row, variant=variant))
        elif variant:
            placed.append(replace(row, variant=variant, standing="variant"))
        else:
            placed.append(replace(row, rank=means.index(row.miou.mean) + 1))
    return placed


def _variants(rows: Sequence[Row]) -> dict[str, str]:
    """Why a row is a variant, by group hash; empty for the default rows, of which a method has one.

    Which row of a method that is, follows from its settings, version and seeds, never from its score.
    """
    defaults: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row.first.group_hash):
        known = defaults.get(row.first.method)
        if not is_changed(row.first) and (known is None or _precedence(row) > _precedence(known)):
            defaults[row.first.method] = row
    most = max((len(row.seeds) for row in defaults.values() if row.standing == "ranked"), default=0)
    reasons = {}
    for row in rows:
        default = defaults.get(row.first.method)
        if start.KEY in row.first.overrides:
            reason = "network trained elsewhere"
        elif is_changed(row.first):
            reason = "changed settings"
        elif row is not default:
            reason = "another row of the method has its default settings"
        else:
            few = row.standing == "ranked" and len(row.seeds) < most
            reason = f"{len(row.seeds)} of {most} seeds" if few else ""
        reasons[row.first.group_hash] = reason
    return reasons


def _precedence(row: Row) -> tuple[int, int, bool, bool]:
    """Of several rows of a method with default settings: its newest version first, then more seeds, then published.

    Of equal ones that in float32, uncompiled, with steps at once.
    """
    first = row.first
    published = first.settings_origin == "published"
    compiled = first.compilation is not None
    usual = is_usual(first.precision, compiled=compiled, accumulate=first.accumulate)
    return first.method_version, len(row.seeds), published, usual
