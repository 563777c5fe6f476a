"""Checkpoint rules side by side, where snapshots were kept: which one each would have scored, and what that costs.

All rules choose among the same snapshots of the last training. The oracle's choice is the best one by definition; how
far another rule falls short of it is the gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adaptbench.records import formatting
from adaptbench.records.record import Record, Snapshot
from adaptbench.reporting.board import Board, Row, Statistic, boards, view
from adaptbench.reporting.board_columns import METHOD, NETWORK_NAME, SEEDS
from adaptbench.reporting.columns import column, fields, machine, number
from adaptbench.reporting.table import Table, write_with_csv

_LEGEND = (
    "All rules choose among the same snapshots of the last training of a job. `last` takes the last one, `oracle-best` "
    "the best on the labels it is scored on, the others the one that looks best without labels: least entropy, most "
    "mutual information (infomax), soft neighbourhood density (snd), agreement of student and teacher. The gap is what "
    "a rule loses against `oracle-best`, in points of mIoU. Mean over seeds ± standard deviation (n-1). Earlier "
    "trainings of a job ended by the rule in the column `earlier trainings`."
)


@dataclass(frozen=True)
class Choice:
    """What one rule chooses for all seeds of a row.

    Attributes:
        chosen: the snapshot of every seed.
        gaps: what is lost against the best one, per seed. Units: points.
    """

    row: Row
    rule: str
    chosen: tuple[Snapshot, ...]
    gaps: tuple[float, ...]

    @property
    def miou(self) -> Statistic:
        """Of the chosen snapshots."""
        return Statistic.of([snapshot.miou for snapshot in self.chosen])

    @property
    def gap(self) -> Statistic:
        """To the best snapshots."""
        return Statistic.of(self.gaps)


_RULE = column("rule", "rule", key="rule")
_EARLIER = column("earlier trainings", lambda c: c.row.first.ranking["checkpoint"], key="earlier_trainings")


def choose(snapshots: Sequence[Snapshot], rule: str) -> Snapshot:
    """The snapshot that ``rule`` takes, the earliest of equals."""
    if rule == "last":
        return snapshots[-1]
    return max(
        snapshots, key=lambda s: (s.miou if rule == "oracle-best" else s.label_free[rule], -s.iterations)
    )


def choices(row: Row) -> list[Choice]:
    """One per rule; empty where no snapshots were kept."""
    kept = [record.snapshots for record in row.records if record.snapshots]
    if not kept or len(kept) < len(row.records):
        return []
    free = [rule for rule in kept[0][0].label_free if all(rule in s.label_free for one in kept for s in one)]
    made = []
    for rule in ("last", *free, "oracle-best"):
        chosen = tuple(choose(one, rule) for one in kept)
        gaps = tuple(choose(one, "oracle-best").miou - s.miou for one, s in zip(kept, chosen, strict=True))
        made.append(Choice(row, rule, chosen, gaps))
    return made


def table(found: Sequence[Choice]) -> Table[Choice]:
    """One line per row and rule, at least one."""
    seen = view(found[0].row.first.scores[0])
    scores = (number(f"mIoU ({seen})", "miou"), number("gap to oracle-best", "gap"), SEEDS)
    taken = column("chosen after iterations", lambda c: ", ".join(str(s.iterations) for s in c.chosen))
    return Table([METHOD, NETWORK_NAME, _RULE, *scores, taken, _EARLIER], found)


def _found(records: Iterable[Record]) -> list[tuple[Board, list[Choice]]]:
    """Boards with choices; what two rules' runs repeat of each other is shown once."""
    seen: set[object] = set()
    found = []
    for board in boards(records):
        listed = []
        for row in board.all_rows:
            snapshots = repr([record.snapshots for record in row.records])
            identity = (board.benchmark, row.first.method, row.seeds, snapshots)
            listed += [] if identity in seen else choices(row)
            seen.add(identity)
        found += [(board, listed)] if listed else []
    return found


def render_markdown(records: Iterable[Record]) -> str:
    """The page: a table per board."""
    blocks = ["# Checkpoint rules", _LEGEND]
    for board, found in _found(records):
        blocks += [f"## {formatting.markdown(board.benchmark)}, protocol `{board.ranking_hash[:8]}`"]
        blocks += [f"{board.images} images of {formatting.markdown(board.view.split)}."]
        blocks += [table(found).to_markdown()]
    return "\n\n".join(blocks) + "\n"


def render_csv(records: Iterable[Record]) -> str:
    """One line per run and rule, with the scores by which it chose."""
    lines = [
        replace(choice, row=replace(choice.row, records=(record,)), chosen=(snapshot,), gaps=(gap,))
        for _, found in _found(records)
        for choice in found
        for record, snapshot, gap in zip(choice.row.records, choice.chosen, choice.gaps, strict=True)
    ]
    columns = [
        *(*fields("row.first", "benchmark", "ranking_hash", "method"), METHOD, NETWORK_NAME),
        *(*fields("row.first", "seed"), _EARLIER, _RULE),
        machine("iterations", lambda choice: choice.chosen[0].iterations),
        *(machine("miou", "miou.mean"), machine("gap", "gap.mean")),
    ]
    return Table(columns, lines).to_csv()


def write_checkpoint_rules(records: Sequence[Record], out: Path) -> Path | None:
    """Rewrites ``OUT/leaderboards/checkpoint-rules.md`` and ``.csv``; None if no snapshots were kept."""
    page = out / "leaderboards" / "checkpoint-rules.md"
    kept = [record for record in records if record.snapshots]
    if not kept and not page.exists():
        return None
    write_with_csv(page, render_markdown(kept), render_csv(kept))
    return page
