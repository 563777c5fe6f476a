"""Tables of studies as markdown and CSV, and as cells for the terminal: the same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from adaptbench.contracts.study import Published
from adaptbench.records import formatting
from adaptbench.reporting.board import View
from adaptbench.reporting.columns import SEED_PARTS, column, fields, machine, mean_and_std, number
from adaptbench.reporting.studies.study_table import Check, StudyRow, StudyTable
from adaptbench.reporting.table import Table, write_with_csv

_LEGEND = (
    "mIoU in percent: mean over seeds ± standard deviation (n-1). Settings are those the study states, as full-size "
    "numbers, which the profile converts; variants with different settings are never averaged. A difference is the "
    "mean over the seeds that both variants have, ± the standard deviation of these differences; variants share "
    "seed numbers, not random draws. `same sign` and `OPPOSITE sign` compare the signs of two means, where ours has "
    "two seeds or more and is above its standard error: neither is a test of significance."
)


@dataclass(frozen=True)
class Line:
    """A variant under one of several protocols."""

    table: StudyTable
    row: StudyRow


def _printed(published: Published) -> str:
    spread = "" if published.std is None else f" ± {published.std:.1f}"
    seeds = "" if published.seeds is None else f" ({published.seeds} seeds)"
    return f"{published.miou:.1f}{spread}{seeds}"


_VARIANT = column("variant", "row.variant.label", key="variant")
_METHOD = column("method", "row.variant.method", key="method", terminal=None)
_SETTINGS = column(
    "settings",
    lambda line: formatting.assignments(line.row.variant.settings),
    lambda text: text or "as published",
    "settings",
    terminal=None,
)
_SEEDS = column(
    "seeds",
    lambda line: [record.seed for record in line.row.records],
    lambda seeds: formatting.seed_list(seeds) if seeds else "0",
    parts=SEED_PARTS,
)
_MIOU = number("mIoU", "row.miou", parts=mean_and_std("miou"))
_DIFFERENCE = number(
    "difference", "row.difference", lambda found: f"{found} (n={found.n})", parts=mean_and_std("difference")
)
_PUBLISHED_PARTS: dict[str, Callable[[Any], Any]] = {
    "published_miou": attrgetter("miou"),
    "published_std": attrgetter("std"),
    "published_seeds": lambda printed: str(printed.seeds or ""),
    "published_class_set": attrgetter("class_set"),
    "published_split": attrgetter("split"),
}
_PUBLISHED = number("published", "row.variant.published", _printed, parts=_PUBLISHED_PARTS)
_POINTS = "{:+.1f}".format
_PUBLISHED_DIFFERENCE = number(
    "published difference", "row.published_difference", _POINTS, "published_difference"
)
_MEMORY = number(
    "peak memory",
    lambda line: max((record.cost.peak_memory_mib for record in line.row.records), default=None),
    formatting.memory,
    "peak_memory_mib",
    terminal=None,
)
_PUBLISHED_MEMORY = number(
    "published memory",
    lambda line: line.row.variant.published and line.row.variant.published.memory_gb,
    "{:g} GB".format,
    "published_memory_gb",
    terminal=None,
)


def variant_table(table: StudyTable) -> Table[Line]:
    """One row per variant: settings, ours, the published value, and both differences to the reference."""
    study = table.study
    compared = [study.reference] if study.reference else []
    ours = f"mIoU ({table.view or 'no run yet'})"
    known = [variant.published for variant in study.variants if variant.published]
    views = dict.fromkeys(str(View(one.class_set, one.split)) for one in known)
    printed = f"published mIoU ({' / '.join(views) or 'none'})"
    return Table(
        [
            *(_VARIANT, _METHOD, _SETTINGS, _SEEDS, replace(_MIOU, header=ours)),
            *(replace(_DIFFERENCE, header=f"minus {reference}") for reference in compared),
            *(
                (replace(_PUBLISHED, header=printed), *(_PUBLISHED_DIFFERENCE for _ in compared))
                if table.printed
                else ()
            ),
            *((_MEMORY, _PUBLISHED_MEMORY) if any(one.memory_gb for one in known) else ()),
        ],
        [Line(table, row) for row in table.rows],
    )


def check_table(table: StudyTable) -> Table[Check]:
    """One row per published difference."""
    smoke = table.series.limit is not None
    parts = {"variant": attrgetter("variant"), "minus": attrgetter("minus")}
    columns = [
        column("claim", "delta.claim", key="claim"),
        column(
            "difference",
            "delta",
            lambda delta: f"{delta.variant} minus {delta.minus}",
            parts=parts,
            terminal=None,
        ),
        *((number("published", "published", _POINTS, "published"),) if table.printed else ()),
        number("ours", "ours", parts=mean_and_std("ours")),
        number("seeds", lambda check: check.ours.n if check.ours else 0, key="seeds"),
        column("verdict", lambda check: "smoke run" if smoke else check.verdict, key="verdict"),
    ]
    return Table(columns, table.checks)


def circumstances(table: StudyTable) -> str:
    """Under which circumstances our numbers and the published ones were measured."""
    series = table.series
    options = f", --set {' '.join(series.settings)}" if series.settings else ""
    smoke = f" SMOKE RUN of {series.limit} iterations: its numbers mean nothing." if series.limit else ""
    kinds = {str(facts.get("provenance")) for record in table.records for facts in record.data.values()}
    dials = formatting.assignments({key: fact for key, fact in _facts(table).items() if key != "provenance"})
    data = f"{formatting.enumeration(sorted(kinds))} data" if kinds else "no data yet"
    data += f" ({dials})" if dials else ""
    start = formatting.enumeration(sorted({record.network.pretraining for record in table.records}))
    return (
        f"Ours: {series.board}, protocol {series.ranking_hash[:8]}, profile {series.profile}, {data}, start weights "
        f"{start or 'unknown yet'}, {series.machine}{options}.{smoke}"
    )


def caution(table: StudyTable) -> str:
    """What the published values may be compared with; empty where nothing is published."""
    if not table.printed:
        return ""
    problems = formatting.enumeration(table.study.benchmarks)
    alike = table.series.board in table.study.benchmarks and table.series.profile == "paper"
    if alike and all(record.network.pretraining != "none" for record in table.records):
        return f"Published: {problems}, official data at full size, like ours, with libraries of their time."
    return (
        f"Published: {problems}, official data at full size, with pretrained encoders. Ours differ in that: compare "
        "signs of differences, never values."
    )


def render_markdown(tables: Sequence[StudyTable]) -> str:
    """The page of a study on one board: a section per series."""
    study = tables[0].study
    source = f"after {study.paper}, {study.table}" if study.paper else study.table
    blocks = [
        f"# {formatting.markdown(study.title)}",
        f"Study `{study.name}`, {formatting.markdown(source)}.",
    ]
    for place, table in enumerate(tables, start=1):
        if len(tables) > 1:
            moved = _moved(table)
            blocks.append(f"## Series {place} of {len(tables)}" + (f": {moved}" if moved else ""))
        blocks += [formatting.markdown(text) for text in (circumstances(table), caution(table)) if text]
        blocks.append(variant_table(table).to_markdown())
        if table.checks:
            drawn = "the paper draws" if study.paper else "to draw"
            blocks += [f"Differences {drawn} conclusions from:", check_table(table).to_markdown()]
    blocks += ["## How to read this page", _LEGEND]
    if study.notes:
        blocks.append(formatting.bullets(study.notes))
    return "\n\n".join(blocks) + "\n"


def _moved(table: StudyTable) -> str:
    """The dials of the generated world that are not as usual: ``minicity.gap=0.0``; empty if all are."""
    first = table.records[0].overrides if table.records else {}
    return formatting.assignments({key: value for key, value in first.items() if key.startswith("minicity.")})


def _facts(table: StudyTable) -> dict[str, Any]:
    """The facts of all datasets of a table, by name, without their versions."""
    known = [facts for record in table.records[:1] for facts in record.data.values()]
    return {key: fact for facts in known for key, fact in facts.items() if key != "version"}


def render_csv(tables: Iterable[StudyTable]) -> str:
    """One line per series and variant, unrounded to 4 digits."""
    return _machine_table(tables).to_csv()


def to_json(tables: Iterable[StudyTable]) -> list[dict[str, Any]]:
    """Every table with its differences; the rows of its variants hold what the CSV does."""
    return [
        {
            "study": table.study.name,
            "title": table.study.title,
            "board": table.series.board,
            "ranking_hash": table.series.ranking_hash,
            "variants": _machine_table([table]).to_json(),
            "checks": check_table(table).to_json(),
        }
        for table in tables
    ]


def _machine_table(tables: Iterable[StudyTable]) -> Table[Line]:
    lines = [Line(table, row) for table in tables for row in table.rows]
    columns = [
        machine("study", "table.study.name"),
        *fields("table.series", "board", "ranking_hash", "profile", "device"),
        column("", "table.series.limit", parts={"limit": str}),
        machine("set", lambda line: " ".join(line.table.series.settings)),
        *(_VARIANT, _METHOD, _SETTINGS),
        machine(
            "resolved",
            lambda line: "".join(formatting.assignments(r.overrides) for r in line.row.records[:1]),
        ),
        machine("group_hash", lambda line: line.table.series.variants.get(line.row.variant.label)),
        column("", "table.view", parts={key: attrgetter(key) for key in ("class_set", "split")}),
        *(_SEEDS, _MIOU, *fields("table.study", "reference"), _DIFFERENCE),
        machine("difference_n", lambda line: line.row.difference.n if line.row.difference else 0),
        *(_PUBLISHED, _PUBLISHED_DIFFERENCE, _MEMORY, _PUBLISHED_MEMORY),
    ]
    return Table(columns, lines)


def page_name(table: StudyTable) -> str:
    """The name of the page that shows a table, without its ending."""
    return formatting.file_name(f"{table.study.name}-{table.series.board}")


def write_studies(tables: Iterable[StudyTable], folder: Path) -> list[Path]:
    """Writes ``<study>-<board>.md`` and ``.csv`` into ``folder``, and returns the paths of the pages.

    Tables of one study and board stand together.
    """
    pages = []
    for name, group in groupby(tables, key=page_name):
        own = list(group)
        pages.append(write_with_csv(folder / f"{name}.md", render_markdown(own), render_csv(own))[0])
    return pages
