"""``run --dry-run``: the plan as a table, with what its jobs will probably cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from adaptbench.execution.launch.local import to_do
from adaptbench.planning.estimates import Estimate, Estimates
from adaptbench.planning.plan import Job, Plan
from adaptbench.records import formatting
from adaptbench.records.scan import scan_records

_UNKNOWN = "unknown"
#: Wide enough for every line where nobody looks at a terminal.
_WIDE = 10_000

#: Estimates of jobs that are to do, by folder.
_Costs = Mapping[Path, Estimate | None]


def show(console: Console, plan: Plan, out: Path, at_once: int) -> None:
    """Prints the plan.

    Args:
        console: where; in a file or a pipe, no line is folded.
        plan: whatever is to be shown.
        out: results folder whose finished jobs tell what others will cost.
        at_once: how many jobs would run at once.
    """
    waiting = to_do(plan.jobs)
    known = Estimates(scan_records(out).records if waiting else ())
    costs = {job.folder: known.of(job.spec) for job in waiting}
    wide = console if console.is_terminal else Console(file=console.file, width=_WIDE)
    for table in _study_tables(plan, costs) if plan.study else [_table(plan, costs)]:
        wide.print(table)
    for line in summary(plan.jobs, costs, at_once, out):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def summary(jobs: Sequence[Job], costs: _Costs, at_once: int, out: Path) -> list[str]:
    """How much there is to do, and what the estimates stand on."""
    if not costs:
        return ["Nothing to run: all jobs are done, or skipped by a rule."]
    known = [cost for cost in costs.values() if cost is not None]
    counted = f"{len(costs)} of {len(jobs)} jobs to run"
    if not known:
        return [f"{counted}, none with an estimate.", _why_unknown(jobs, out)]
    seconds = [cost.seconds for cost in known]
    total = f"{counted}: about {formatting.duration(sum(seconds))} one after the other"
    if at_once > 1 and len(known) > 1:
        total += f", {formatting.duration(max(max(seconds), sum(seconds) / at_once))} with {at_once} at once"
    missing = len(costs) - len(known)
    basis = (
        f"Estimates: medians of finished runs in {out}, for whole jobs, whatever of them is trained already."
    )
    if not missing:
        return [f"{total}.", basis]
    return [f"{total}, and {missing} without an estimate.", basis, _why_unknown(jobs, out)]


def _why_unknown(jobs: Sequence[Job], out: Path) -> str:
    if any(job.spec.activation_checkpointing for job in jobs):
        return f"{_UNKNOWN}: records do not say what --activation-checkpointing costs."
    return f"{_UNKNOWN}: no finished run in {out} has the same method, network, profile, device and sizes."


def _table(plan: Plan, costs: _Costs) -> Table:
    headers = (
        "method",
        "benchmark",
        "seed",
        "network",
        "iterations",
        "time",
        "peak memory",
        "state",
        "folder",
    )
    table = Table(*(Column(header, overflow="fold") for header in headers), box=None, pad_edge=False)
    for job in plan.jobs:
        spec = job.spec
        table.add_row(
            spec.method,
            spec.board,
            str(spec.seed),
            str(spec.settings["network"]),
            str(spec.settings["iterations"]),
            *_cost([job], costs),
            Text(_state(job)),
            job.folder.name,
        )
    return table


def _study_tables(plan: Plan, costs: _Costs) -> list[Table]:
    """Per benchmark one row per variant: how its settings differ from those of its method, its seeds and their cost."""
    boards: dict[str, dict[str, list[Job]]] = {}
    for job in plan.jobs:
        boards.setdefault(job.spec.board, {}).setdefault(plan.variants[job.folder], []).append(job)
    return [_study_table(board, variants, costs) for board, variants in boards.items()]


def _study_table(board: str, variants: Mapping[str, Sequence[Job]], costs: _Costs) -> Table:
    columns = (Column("variant"), Column("method"), Column("differs in", overflow="fold"))
    further = ("seeds", "time", "peak memory", "state")
    table = Table(*columns, *further, title=board, title_justify="left", box=None, pad_edge=False)
    for label, jobs in variants.items():
        spec = jobs[0].spec
        differs = [f"{key}={formatting.value(content)}" for key, content in sorted(spec.overrides.items())]
        table.add_row(
            Text(label),
            spec.method,
            Text("\n".join(differs) or "nothing"),
            formatting.seed_list(job.spec.seed for job in jobs),
            *_cost(jobs, costs),
            Text("\n".join(dict.fromkeys(map(_state, jobs)))),
        )
    return table


def _cost(jobs: Sequence[Job], costs: _Costs) -> tuple[str, str]:
    """Time one after the other, and the largest peak of memory; of what is done or skipped none."""
    wanted = [costs[job.folder] for job in jobs if job.folder in costs]
    known = [cost for cost in wanted if cost is not None]
    if not wanted:
        return "0", "0"
    if len(known) < len(wanted):
        return _UNKNOWN, _UNKNOWN
    return formatting.duration(sum(c.seconds for c in known)), formatting.memory(
        max(c.memory_mib for c in known)
    )


def _state(job: Job) -> str:
    return f"{job.state}: {job.reason}" if job.reason else str(job.state)
