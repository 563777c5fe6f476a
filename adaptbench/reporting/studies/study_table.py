"""The table of a study: our numbers beside the published ones. Pure functions of series, declaration and records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adaptbench.contracts.study import Delta, Study, Variant
from adaptbench.records.found import in_order
from adaptbench.records.record import Record
from adaptbench.reporting.board import Statistic, View, view
from adaptbench.reporting.studies.series import Series


class Difference(Statistic):
    """Difference of two variants in mean IoU, over the seeds that both have, in points."""

    @property
    def standard_error(self) -> float | None:
        """Of the mean; None for a single seed."""
        return None if self.std is None else self.std / math.sqrt(self.n)

    @property
    def in_noise(self) -> bool:
        """Whether nothing can be said about its sign: a single seed, or not above its standard error."""
        error = self.standard_error
        return error is None or abs(self.mean) <= error

    def __str__(self) -> str:
        return f"{self.mean:+.1f}{'' if self.std is None else f' ± {self.std:.1f}'}"


@dataclass(frozen=True)
class StudyRow:
    """A variant and its records.

    Attributes:
        records: one per seed, by seed; none if it was not run, or has not finished.
        miou: in the ranked view; None without a record.
        difference: to the study's reference; None where it cannot be computed.
        published_difference: the same from the printed values.
    """

    variant: Variant
    records: tuple[Record, ...]
    miou: Statistic | None
    difference: Difference | None
    published_difference: float | None


@dataclass(frozen=True)
class Check:
    """A published difference and ours."""

    delta: Delta
    published: float | None
    ours: Difference | None
    verdict: str


@dataclass(frozen=True)
class StudyTable:
    """A study under one protocol.

    Attributes:
        view: what our numbers were scored on; None as long as there is no record.
    """

    study: type[Study]
    series: Series
    view: View | None
    rows: tuple[StudyRow, ...]
    checks: tuple[Check, ...]

    @property
    def printed(self) -> bool:
        """Whether a paper prints any of it; a study of our own has no columns for what nobody printed."""
        known = any(row.variant.published for row in self.rows)
        return known or any(check.published is not None for check in self.checks)

    @property
    def records(self) -> list[Record]:
        """All records behind it."""
        return [record for row in self.rows for record in row.records]


def study_table(study: type[Study], series: Series, records: Iterable[Record]) -> StudyTable:
    """The table of ``study`` for one series. The order of the records does not matter."""
    labels = {group: label for label, group in series.variants.items()}
    found: dict[str, list[Record]] = {}
    for record in in_order(records):
        if record.group_hash in labels and record.ranking_hash == series.ranking_hash:
            found.setdefault(labels[record.group_hash], []).append(record)
    rows = tuple(_row(study, variant, found) for variant in study.variants)
    checks = tuple(_check(study, delta, found) for delta in study.checks)
    first = next((group[0] for group in found.values()), None)
    return StudyTable(study, series, None if first is None else view(first.scores[0]), rows, checks)


def difference(first: Sequence[Record], second: Sequence[Record]) -> Difference | None:
    """Mean IoU of ``first`` minus that of ``second``, paired by seed; None without a common seed."""
    subtracted = {record.seed: record.scores[0].miou for record in second}
    gaps = [r.scores[0].miou - subtracted[r.seed] for r in first if r.seed in subtracted]
    return Difference.of(gaps) if gaps else None


def verdict(published: float | None, ours: Difference | None) -> str:
    """What ours says about the sign of a published difference, in words; no claim of significance."""
    if ours is None:
        return "no common finished seed"
    if ours.n < 2:
        return "cannot tell (one seed)"
    if ours.in_noise:
        return "cannot tell (not above its standard error)"
    if not published:
        return "above its standard error; nothing printed to compare with"
    return "same sign" if ours.mean * published > 0 else "OPPOSITE sign"


def _row(study: type[Study], variant: Variant, found: Mapping[str, Sequence[Record]]) -> StudyRow:
    records = found.get(variant.label, ())
    miou = Statistic.of([record.scores[0].miou for record in records]) if records else None
    if study.reference in (None, variant.label):
        return StudyRow(variant, tuple(records), miou, None, None)
    to_reference = Delta("", variant.label, str(study.reference))
    ours = difference(records, found.get(to_reference.minus, ()))
    return StudyRow(variant, tuple(records), miou, ours, study.published_difference(to_reference))


def _check(study: type[Study], delta: Delta, found: Mapping[str, Sequence[Record]]) -> Check:
    published = study.published_difference(delta)
    ours = difference(found.get(delta.variant, ()), found.get(delta.minus, ()))
    return Check(delta, published, ours, verdict(published, ours))
