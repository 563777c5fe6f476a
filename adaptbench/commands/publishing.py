"""``report --publish``: what the repository shows of finished runs, a folder of ``results/`` per collection.

A folder has the boards of its runs, the tables of their studies, and the runs themselves as ``contribute`` packs them,
so that ``merge`` brings them back where somebody goes on. Nothing that a folder shows is lost: a page with a row or a
seed that is not among the runs at hand stays as it is.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from adaptbench.errors import DataError
from adaptbench.planning.estimates import board_rows
from adaptbench.records.record import Record, folder_of
from adaptbench.reporting.leaderboard import write_leaderboards
from adaptbench.reporting.published.comparison import Facts
from adaptbench.reporting.standing.significance import Significances
from adaptbench.reporting.studies.study_page import page_name, write_studies
from adaptbench.reporting.studies.study_table import StudyTable
from adaptbench.submissions.pack import file_name, pack, read_zip

#: Folder of a collection with its runs, a zip each.
RUNS = "runs"


@dataclass(frozen=True)
class Collection:
    """Runs that the repository shows together.

    Attributes:
        name: of the folder in ``results/``.
        takes: whether a run belongs to it.
    """

    name: str
    takes: Callable[[Record], bool]


@dataclass(frozen=True)
class Page:
    """A page and the CSV beside it.

    Attributes:
        csv: the file, which may be there already.
        records: the runs that it would show.
        write: writes both.
    """

    csv: Path
    records: Sequence[Record]
    write: Callable[[], Iterable[Path]]

    def lost(self) -> list[str]:
        """Seeds of the rows that the file shows and `records` lack, a row each, as words.

        Raises:
            DataError: the file is damaged.
        """
        here: dict[str, set[str]] = defaultdict(set)
        for record in self.records:
            here[record.group_hash].add(str(record.seed))
        try:
            rows = {(row["group_hash"], row["seeds"]): row["method"] for row in board_rows(self.csv)}
        except (OSError, csv.Error, KeyError, UnicodeDecodeError) as error:
            raise DataError(
                f"{self.csv} cannot be read ({error!r}). Restore it from the repository."
            ) from error
        missing = ((name, set(seeds.split()) - here[group]) for (group, seeds), name in rows.items())
        return [f"{name} {' '.join(sorted(seeds))}" for name, seeds in missing if seeds]


COLLECTIONS = (
    Collection("minicity", lambda record: record.profile == "mini"),
    Collection("camvid", lambda record: record.scores[0].split.startswith("camvid/")),
)


def publish(
    records: Iterable[Record],
    tables: Iterable[StudyTable],
    out: Path,
    results: Path,
    tests: Significances,
    facts: Facts,
) -> Iterator[str]:
    """Writes every collection of which there are runs in ``out``, and yields what was written or left, a line each.

    Smoke runs belong to none. A world with other dials than the usual ones is shown by studies alone.

    Raises:
        RunStateError: a run is damaged, or a file cannot be written.
    """
    finished, tables = [record for record in records if not record.smoke], list(tables)
    for collection in COLLECTIONS:
        kept = results / collection.name / RUNS
        runs = [_as_it_was(record, kept) for record in finished if collection.takes(record)]
        if runs:
            yield from _publish(runs, tables, out, results / collection.name, tests, facts)


def _publish(
    runs: list[Record],
    tables: list[StudyTable],
    out: Path,
    folder: Path,
    tests: Significances,
    facts: Facts,
) -> Iterator[str]:
    usual = [record for record in runs if not _moves_a_dial(record)]
    board = partial(write_leaderboards, usual, folder, tests=tests, facts=facts)
    pages = [Page(folder / "leaderboard.csv", usual, board)] if usual else []
    for name, group in groupby(_own(tables, runs), key=page_name):
        shown = list(group)
        rows = [record for table in shown for record in table.records]
        study = partial(write_studies, shown, folder / "studies")
        pages.append(Page(folder / "studies" / f"{name}.csv", rows, study))
    for page in pages:
        if lost := page.lost():
            yield (
                f"left {page.csv} and the page beside it as they are: {out} lacks seeds that they show "
                f"({'; '.join(lost)}). Add them with `merge {folder / RUNS}/*.zip --out {out}`, or delete that file to "
                "begin anew."
            )
        else:
            yield from (f"published {path}" for path in page.write())
    for record in runs:
        if _kept(record, folder / RUNS) != record:
            pack(folder_of(record, out), folder / RUNS)
    yield f"published {len(runs)} runs in {folder / RUNS}"


def _as_it_was(record: Record, runs: Path) -> Record:
    """The record as the repository keeps it, if it was merged from there: then it is none that others submitted."""
    kept = _kept(record, runs)
    same = kept is not None and kept == record.model_copy(update={"origin": kept.origin})
    return kept if kept is not None and same else record


def _kept(record: Record, runs: Path) -> Record | None:
    path = runs / file_name(record)
    return read_zip(path).record if path.exists() else None


def _moves_a_dial(record: Record) -> bool:
    return any(name.startswith("minicity.") for name in record.overrides)


def _own(tables: Iterable[StudyTable], runs: Iterable[Record]) -> Iterator[StudyTable]:
    """The tables with rows, all of them of these runs."""
    known = {record.job_hash for record in runs}
    return (
        table for table in tables if table.records and known.issuperset(r.job_hash for r in table.records)
    )
