"""Which records belong to which variant of a study: written when the study is run, read by the reports.

A record does not name studies, since it may belong to several of them and to the leaderboard. Its group hash says
what it is, and a series says which group hash is which variant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from adaptbench.records.found import Unreadable
from adaptbench.records.jobspec import JobSpec, content_hash
from adaptbench.storage.atomic import write_text

SCHEMA_VERSION = 1


class Series(BaseModel):
    """The variants of a study, run under equal circumstances; only they are compared with each other.

    Attributes:
        study: name of the study.
        file: its plug-in file, if it is none of the checkout.
        board: benchmark as it is called in results.
        profile: name of the profile.
        ranking_hash: of all its records.
        device: where they are trained.
        settings: the user's --set options.
        limit: iterations of a smoke run.
        variants: group hash of every variant, by label.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    study: str
    file: str | None
    board: str
    profile: str
    ranking_hash: str
    device: str
    settings: list[str]
    limit: int | None
    variants: dict[str, str]

    def path(self, out: Path) -> Path:
        """Where it is kept: a later run under the same circumstances takes its place."""
        identity = [self.study, self.ranking_hash, self.device, self.settings]
        return out / "studies" / self.study.replace("/", "-") / f"{content_hash(identity)}.json"


@dataclass(frozen=True)
class FoundSeries:
    """All series of an output folder in a fixed order, and the files that are none."""

    series: list[Series]
    unreadable: list[Unreadable]


def series_of(
    study: str, file: Path | None, settings: Iterable[str], jobs: Iterable[tuple[str, JobSpec]]
) -> list[Series]:
    """The series that planned jobs make up, one per board and protocol.

    Args:
        study: name of the study.
        file: its plug-in file, if it is none of the checkout.
        settings: the user's --set options.
        jobs: all jobs, each with the label of its variant.
    """
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
            settings=own,
            limit=first.limit,
            variants=variants[ranking_hash],
        )
        for ranking_hash, first in firsts.items()
    ]


def save_series(series: Series, out: Path) -> None:
    """Writes ``OUT/studies/<study>/<hash>.json`` atomically."""
    write_text(series.path(out), series.model_dump_json(indent=1) + "\n")


def find_series(out: Path) -> FoundSeries:
    """Reads every series of ``out``. A file that cannot be read is listed, never raised."""
    series: list[Series] = []
    unreadable: list[Unreadable] = []
    for path in sorted((out / "studies").glob("*/*.json")):
        try:
            series.append(Series.model_validate_json(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError) as error:
            reason = (
                f"it is no list of a study's variants ({str(error).splitlines()[0]}). Run the study again."
            )
            unreadable.append(Unreadable(path.relative_to(out).as_posix(), reason))
    series.sort(key=lambda one: (one.study, one.board, one.limit is not None, one.settings, one.path(out)))
    return FoundSeries(series, unreadable)
