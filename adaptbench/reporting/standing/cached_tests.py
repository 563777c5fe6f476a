"""Compares the rows of boards from the matrices of an output folder, and remembers what it found."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from adaptbench.errors import RunStateError
from adaptbench.records.average import Average
from adaptbench.records.jobspec import content_hash
from adaptbench.reporting.board import Board, Row
from adaptbench.reporting.matrices import Tallied, cluster_names, load_tallies
from adaptbench.reporting.standing.significance import (
    Significance,
    Significances,
    candidates,
    compare_rows,
    key,
)
from adaptbench.statistics.bootstrap import RESAMPLES
from adaptbench.storage import sealed_json

#: Raised whenever the tests would find something else in the same matrices.
_VERSION = 3
_log = logging.getLogger(__name__)


def tests_of(boards: Iterable[Board], out: Path) -> Significances:
    """What the statistics say about every board with rows that can be compared.

    Results are kept in ``OUT/leaderboards/tests``: the same jobs are compared once.
    """
    found = {
        key(board): _known_or_tested(rows, board.view.split, out)
        for board in boards
        if (rows := candidates(board))
    }
    return {board: result for board, result in found.items() if result is not None}


def _known_or_tested(rows: Sequence[Row], split: str, out: Path) -> Significance | None:
    """What was found before for these jobs, or is found now; kept only if no row had to be left out."""
    jobs = sorted(
        (row.standing, record.group_hash, record.job_hash, record.weights_sha256)
        for row in rows
        for record in row.records
    )
    average = asdict(Average.of(rows[0].first.ranking))
    everything_it_follows_from = content_hash([_VERSION, RESAMPLES, split, jobs, average])
    path = out / "leaderboards" / "tests" / f"{everything_it_follows_from}.json"
    known = _remembered(path)
    if known is not None:
        return known
    result = _test(rows, split, out)
    if result is not None and all(result.compared(row) for row in rows):
        with suppress(RunStateError):  # then they are compared each time
            sealed_json.write(path, asdict(result))
    return result


def _test(rows: Sequence[Row], split: str, out: Path) -> Significance | None:
    """Compares the rows whose matrices are there and of the same images as those of the first."""
    usable: dict[str, Tallied] = {}
    for row in rows:
        try:
            found = load_tallies(out, row.records, split)
        except RunStateError as error:
            _log.warning("%s is not compared with other rows: %s", row.label, error)
            continue
        if not usable or found.same_images(next(iter(usable.values()))):
            usable[row.first.group_hash] = found
        else:
            _log.warning("%s is not compared with other rows: it was scored on other images", row.label)
    ranked = {row.first.group_hash for row in rows if row.standing == "ranked"} & usable.keys()
    if len(usable) < 2 or not ranked:
        return None
    names = next(iter(usable.values())).names
    clusters = cluster_names(out, rows[0].first, split, names)
    tallies = {group: one.tallies for group, one in usable.items()}
    return compare_rows(tallies, ranked, clusters, average=Average.of(rows[0].first.ranking))


def _remembered(path: Path) -> Significance | None:
    """What was found before; a file that cannot be read or was changed counts for nothing, and is written anew."""
    try:
        known = sealed_json.read(path, "")
        return Significance(str(known["best"]), {str(k): float(p) for k, p in known["p"].items()})
    except (RunStateError, ValueError, LookupError, TypeError, AttributeError):
        return None
