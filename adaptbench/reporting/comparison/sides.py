"""What the two names given to ``compare`` mean: a row of a board, or a single run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from adaptbench.errors import UsageError, unknown_name
from adaptbench.records import formatting
from adaptbench.records.record import Record
from adaptbench.reporting.board import View, boards, view

#: A job's folder, ``SEED-HASH8``.
_FOLDER = re.compile(r"\d+-([0-9a-f]{8})")
_HASH = re.compile(r"[0-9a-f]{6,}")


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a row or a run, with the records of its seeds."""

    label: str
    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        """The record of the lowest seed."""
        return self.records[0]

    @property
    def view(self) -> View:
        """What it was scored on."""
        return view(self.first.scores[0])

    def __str__(self) -> str:
        seeds = formatting.seed_list(record.seed for record in self.records)
        return (
            f"{self.label} on {self.first.benchmark}, protocol {self.first.ranking_hash[:8]}, seeds {seeds}"
        )


def find_sides(
    records: Sequence[Record], first: str, second: str, benchmark: str | None, any_protocol: bool
) -> tuple[Side, Side]:
    """The two sides called ``first`` and ``second``, of one benchmark and protocol.

    A name is a method, the label of a row, the start of a group hash (a row) or of a job hash, or a job's folder
    (a single run). ``minicity/NAME`` may be given as ``NAME`` for a benchmark if there is no other.

    Raises:
        UsageError: nothing has such a name, the two have no protocol or more than one in common, or are the same.
    """
    chosen = _of_benchmark(records, benchmark)
    sides = _named(chosen, first), _named(chosen, second)
    pairs = [(a, b) for a in sides[0] for b in sides[1] if a.records != b.records]
    if not pairs:
        raise UsageError(f"{first!r} and {second!r} name the same runs. Name two different ones.")
    shared = [(a, b) for a, b in pairs if a.view == b.view and (any_protocol or _same_protocol(a, b))]
    if not shared:
        raise _different(*pairs[0])
    if len(shared) > 1:
        listed = dict.fromkeys(f"{side.first.group_hash[:8]} ({side})" for pair in shared for side in pair)
        raise UsageError(
            f"{first!r} and {second!r} name more than two rows. Choose with --benchmark, or name each by its hash: "
            f"{'; '.join(listed)}."
        )
    return shared[0]


def _of_benchmark(records: Sequence[Record], benchmark: str | None) -> list[Record]:
    if not records:
        raise UsageError("There is no finished run here. Start some, or point to others with --out.")
    if benchmark is None:
        return list(records)
    known = {record.benchmark for record in records}
    wanted = benchmark if benchmark in known else f"minicity/{benchmark}"
    if wanted not in known:
        raise unknown_name("benchmark with finished runs", benchmark, known)
    return [record for record in records if record.benchmark == wanted]


def _named(records: Sequence[Record], text: str) -> list[Side]:
    """All rows and runs of that name, without smoke runs unless one is named itself."""
    folder = _FOLDER.fullmatch(PurePath(text).name)
    start = folder.group(1) if folder else text
    rows = [row for board in boards(records) for row in board.finished]
    found = [
        Side(row.label, row.records)
        for row in rows
        if text in (row.first.method, row.label)
        or (_HASH.fullmatch(text) and row.first.group_hash.startswith(text))
    ]
    if _HASH.fullmatch(start):
        runs = [record for record in records if record.job_hash.startswith(start)]
        found += [Side(f"{record.method} seed {record.seed}", (record,)) for record in runs]
    if not found:
        known = {name for row in rows for name in (row.first.method, row.label)}
        raise unknown_name("method or run", text, known)
    return found


def _same_protocol(a: Side, b: Side) -> bool:
    return a.first.benchmark == b.first.benchmark and a.first.ranking_hash == b.first.ranking_hash


def _different(a: Side, b: Side) -> UsageError:
    if a.view != b.view:
        return UsageError(
            f"{a.label} was scored on {a.view} and {b.label} on {b.view}: different splits cannot be compared. "
            "Run both on one benchmark."
        )
    points = formatting.protocol_difference(b.first.ranking, a.first.ranking) or "its ranking hash"
    return UsageError(
        f"{a.label} and {b.label} were run under different protocols: {points}. Run both under one, or add "
        "--any-protocol to compare them nevertheless."
    )
