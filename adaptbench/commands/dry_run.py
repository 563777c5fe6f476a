"""``run --dry-run``: the plan as a table, with what its jobs will probably cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from adaptbench.commands.output import WIDE, cell, say
from adaptbench.errors import printable
from adaptbench.planning.estimates import Costs, Total, expected_costs, total
from adaptbench.planning.plan import Job, Plan
from adaptbench.records import formatting

_UNKNOWN = "unknown"
#: Behind a cost that comes from the committed board.
_ELSEWHERE = "*"


def show(console: Console, plan: Plan, out: Path, at_once: int) -> None:
    """Prints the plan and what it will cost; outside of a terminal no line is folded."""
    costs = expected_costs(plan.jobs, out)
    wide = console if console.is_terminal else Console(file=console.file, width=WIDE)
    for table in _study_tables(plan, costs) if plan.study else [_table(plan, costs)]:
        wide.print(table)
    for line in summary(plan.jobs, costs, at_once, out):
        say(console, line)


def summary(jobs: Sequence[Job], costs: Costs, at_once: int, out: Path) -> list[str]:
    """How much there is to do, and what the estimates stand on."""
    if not costs:
        return ["Nothing to run: all jobs are done, or skipped by a rule."]
    found = total(costs, at_once)
    known = found.jobs - found.unknown
    counted = f"{found.jobs} of {len(jobs)} jobs to run"
    if not known:
        return [f"{counted}, none with an estimate.", _why_unknown(jobs, out)]
    text = f"{counted}: about {formatting.duration(found.in_a_row)} one after the other"
    if at_once > 1 and known > 1:
        text += f", {formatting.duration(found.at_once)} with {at_once} at once"
    if not found.unknown:
        return [f"{text}.", _basis(found, out)]
    return [f"{text}, and {found.unknown} without an estimate.", _basis(found, out), _why_unknown(jobs, out)]


def _basis(found: Total, out: Path) -> str:
    """What the estimates stand on."""
    board = "from a committed board, on another machine"
    whole = "for whole jobs, whatever of them is trained already."
    if found.elsewhere == found.jobs - found.unknown:
        return f"Estimates{_ELSEWHERE}: {board}; no finished run in {out} tells more. They are {whole}"
    beside = f"; {found.elsewhere} of them, marked {_ELSEWHERE}, {board}" if found.elsewhere else ""
    return f"Estimates: medians of finished runs in {out}{beside}, {whole}"


def _why_unknown(jobs: Sequence[Job], out: Path) -> str:
    if any(job.spec.activation_checkpointing for job in jobs):
        return f"{_UNKNOWN}: records do not say what --activation-checkpointing costs."
    if any(job.spec.devices > 1 for job in jobs):
        return f"{_UNKNOWN}: finished runs do not say what a training on several --devices costs."
    return (
        f"{_UNKNOWN}: no finished run in {out} has the same method, network, profile, device and sizes, and neither "
        "has a committed board."
    )


def _table(plan: Plan, costs: Costs) -> Table:
    shown = ("method", "benchmark", "seed", "network", "iterations", "time", "peak memory", "state", "folder")
    table = Table(*(Column(header, overflow="fold") for header in shown), box=None, pad_edge=False)
    for job in plan.jobs:
        spec = job.spec
        table.add_row(
            spec.method,
            spec.board,
            str(spec.seed),
            str(spec.settings["network"]),
            " + ".join(map(str, job.iterations)) or str(spec.settings["iterations"]),
            *_cost([job], costs),
            cell(_state(job)),
            job.folder.name,
        )
    return table


def _study_tables(plan: Plan, costs: Costs) -> list[Table]:
    """Per benchmark one row per variant: how its settings differ from those of its method, its seeds and their cost."""
    boards: dict[str, dict[str, list[Job]]] = {}
    for job in plan.jobs:
        boards.setdefault(job.spec.board, {}).setdefault(plan.variants[job.folder], []).append(job)
    return [_study_table(board, variants, costs) for board, variants in boards.items()]


def _study_table(board: str, variants: Mapping[str, Sequence[Job]], costs: Costs) -> Table:
    columns = (Column("variant"), Column("method"), Column("differs in", overflow="fold"))
    further = ("seeds", "time", "peak memory", "state")
    table = Table(*columns, *further, title=board, title_justify="left", box=None, pad_edge=False)
    for label, jobs in variants.items():
        spec = jobs[0].spec
        differs = [f"{key}={formatting.value(content)}" for key, content in sorted(spec.overrides.items())]
        table.add_row(
            cell(label),
            spec.method,
            Text("\n".join(map(printable, differs)) or "nothing"),
            formatting.seed_list(job.spec.seed for job in jobs),
            *_cost(jobs, costs),
            Text("\n".join(map(printable, dict.fromkeys(map(_state, jobs))))),
        )
    return table


def _cost(jobs: Sequence[Job], costs: Costs) -> tuple[str, str]:
    """Time one after the other, and the largest peak of memory; of what is done or skipped none."""
    wanted = [costs[job.folder] for job in jobs if job.folder in costs]
    known = [cost for cost in wanted if cost is not None]
    if not wanted:
        return "0", "0"
    if len(known) < len(wanted):
        return _UNKNOWN, _UNKNOWN
    mark = _ELSEWHERE if any(cost.elsewhere for cost in known) else ""
    time, memory = sum(c.seconds for c in known), max(c.memory_mib for c in known)
    return formatting.duration(time) + mark, formatting.memory(memory) + mark


def _state(job: Job) -> str:
    return f"{job.state}: {job.reason}" if job.reason else str(job.state)
