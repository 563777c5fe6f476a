"""Finds the records of finished jobs in an output folder."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from adaptbench.records import documents
from adaptbench.records.documents import Unreadable
from adaptbench.records.kept import load_kept
from adaptbench.records.record import Record

_JOB_FOLDER = re.compile(r"\d+-[0-9a-f]{8}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundRecords:
    """What an output folder holds: records in a fixed order, and the files that are no record."""

    records: list[Record]
    unreadable: list[Unreadable]


def scan_records(out: Path) -> FoundRecords:
    """Reads every ``OUT/runs/<benchmark>/<method>/<seed>-<hash8>/record.json``.

    A benchmark name may contain slashes. A file that cannot be read is listed, never raised; a folder
    without records, or no folder at all, gives an empty result.
    """
    paths, closed = documents.find(out, "runs", "record.json")
    paths = [path for path in paths if _JOB_FOLDER.fullmatch(path.parent.name)]
    records, unreadable = documents.read_all(paths, out, load_kept)
    return FoundRecords(in_order(records), [*closed, *unreadable])


def find_records(out: Path) -> list[Record]:
    """The readable records of ``out`` in a fixed order; the others are logged as warnings."""
    found = scan_records(out)
    for problem in found.unreadable:
        _log.warning("left out of the report: %s", problem.reason)
    return found.records


def in_order(records: Iterable[Record]) -> list[Record]:
    """Records by benchmark, method, seed and job; a job that occurs twice is kept once.

    Two records of one job differ in ``cost`` and ``environment`` at most. Which of them is kept depends
    on their content alone, never on the order they came in.
    """
    kept = list(records)
    times = Counter(record.job_hash for record in kept)

    def place(record: Record) -> tuple[str, str, int, str, str]:
        content = record.model_dump_json() if times[record.job_hash] > 1 else ""  # which takes long
        return record.benchmark, record.method, record.seed, record.job_hash, content

    ordered = sorted(kept, key=place)
    return list({record.job_hash: record for record in reversed(ordered)}.values())[::-1]
