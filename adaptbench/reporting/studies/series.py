"""Which records belong to which variant of a study: written when the study is run, read by the reports.

A record does not name studies, since it may belong to several of them and to the leaderboard. Its group hash says
what it is, and a series says which group hash is which variant.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from adaptbench.contracts.precision import FLOAT32, Precision
from adaptbench.records import documents
from adaptbench.records.documents import Part, Unreadable
from adaptbench.records.jobspec import JobSpec, content_hash
from adaptbench.records.record import Record


class Series(Part):
    """The variants of a study, run under equal circumstances; only they are compared with each other.

    Attributes:
        file: of the study's plug-in, if it is none of the checkout.
        board: benchmark as it is called in results.
        settings: the user's --set options.
        limit: iterations of a smoke run.
        variants: group hash of every variant, by label.
    """

    schema_version: int = 1
    study: str
    file: str | None
    board: str
    profile: str
    ranking_hash: str
    device: str
    precision: Precision = FLOAT32
    compiled: bool = False
    accumulate: int = 1
    settings: list[str]
    limit: int | None
    variants: dict[str, str]

    @property
    def machine(self) -> str:
        """Where its networks are trained, in which number format, whether compiled, and in how many parts a step."""
        precision = () if self.precision == FLOAT32 else (self.precision,)
        parts = () if self.accumulate == 1 else (f"steps in {self.accumulate} parts",)
        return ", ".join((self.device, *precision, *(("compiled",) if self.compiled else ()), *parts))

    def path(self, out: Path) -> Path:
        """Where it is kept: a later run under the same circumstances takes its place."""
        identity = [self.study, self.ranking_hash, self.machine, self.settings]
        return out / "studies" / self.study.replace("/", "-") / f"{content_hash(identity)}.json"


def series_of(
    study: str, file: Path | None, settings: Iterable[str], jobs: Iterable[tuple[str, JobSpec]]
) -> list[Series]:
    """The series that planned jobs, each with the label of its variant, make up: one per board and protocol."""
    own = sorted(
        {text for text in settings if not text.startswith("minicity.")}
    )  # dials are in the ranking hash
    firsts: dict[str, JobSpec] = {}
    variants: dict[str, dict[str, str]] = {}
    for label, spec in jobs:
        firsts.setdefault(spec.ranking_hash, spec)
        variants.setdefault(spec.ranking_hash, {})[label] = spec.group_hash
    return [
        Series(
            study=study,
            file=None if file is None else str(file),
            board=first.board,
            profile=first.profile,
            ranking_hash=ranking_hash,
            device=first.device,
            precision=first.precision,
            compiled=first.compiled,
            accumulate=first.accumulate,
            settings=own,
            limit=first.limit,
            variants=variants[ranking_hash],
        )
        for ranking_hash, first in firsts.items()
    ]


def current(found: Iterable[Series], records: Iterable[Record]) -> list[Series]:
    """The lists, under the protocol that their records are shown under today; each series once.

    Records of earlier versions are averaged anew when they are read, and have another ranking hash then than the list
    that was written with them. A list that was written since goes before it.
    """
    hashes = {record.group_hash: record.ranking_hash for record in records}
    kept: dict[tuple[Any, ...], Series] = {}
    for series in found:
        known = {hashes[group] for group in series.variants.values() if group in hashes}
        moved = known and series.ranking_hash not in known
        one = series.model_copy(update={"ranking_hash": min(known)}) if moved else series
        key = (one.study, one.ranking_hash, one.machine, *one.settings)
        kept[key] = kept.get(key, one) if moved else one
    return list(kept.values())


def save_series(series: Series, out: Path) -> None:
    """Writes ``OUT/studies/<study>/<hash>.json`` atomically."""
    documents.write(series, series.path(out))


def find_series(out: Path) -> tuple[list[Series], list[Unreadable]]:
    """Reads every series of ``out``, in a fixed order. A file that cannot be read is listed, never raised."""

    def load(path: Path) -> Series:
        return documents.read(Series, path, "a list of a study's variants", "Run the study again.")

    series, unreadable = documents.read_all((out / "studies").glob("*/*.json"), out, load)
    series.sort(key=lambda one: (one.study, one.board, one.limit is not None, one.settings, one.path(out)))
    return series, unreadable
