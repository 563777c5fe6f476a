"""Tables of studies as markdown and CSV, and as cells for the terminal: the same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from adaptbench.contracts.study import Published, Variant
from adaptbench.records import formatting
from adaptbench.reporting.board import View
from adaptbench.reporting.leaderboard import Cells, markdown_table
from adaptbench.reporting.studies.study_table import Difference, StudyRow, StudyTable
from adaptbench.storage import atomic

_LEGEND = (
    "mIoU in percent: mean over seeds ± standard deviation (n-1). Settings are those the study states, as full-size "
    "numbers, which the profile converts; variants with different settings are never averaged. A difference is the "
    "mean over the seeds that both variants have, ± the standard deviation of these differences; variants share "
    "seed numbers, not random draws. `same sign` and `OPPOSITE sign` compare the signs of two means, where ours has "
    "two seeds or more and is above its standard error: neither is a test of significance."
)


def variant_cells(table: StudyTable) -> Cells:
    """One row per variant: settings, ours, the published value, and both differences to the reference."""
    study = table.study
    ours, printed = f"mIoU ({table.view or 'no run yet'})", f"published mIoU ({_published_view(table)})"
    headers = ["variant", "method", "settings", "seeds", ours]
    headers += [f"minus {study.reference}"] if study.reference else []
    headers += [printed] + (["published difference"] if study.reference else [])
    memory = any(variant.published and variant.published.memory_gb for variant in study.variants)
    headers += ["peak memory", "published memory"] if memory else []
    rows = [_variant_row(row, bool(study.reference), memory) for row in table.rows]
    text = {"variant", "method", "settings", "seeds"}
    numeric = frozenset(j for j, header in enumerate(headers) if header not in text)
    return Cells(headers, rows, frozenset(), numeric)


def check_cells(table: StudyTable) -> Cells:
    """One row per published difference."""
    headers = ["claim", "difference", "published", "ours", "seeds", "verdict"]
    rows = [
        [
            check.delta.claim,
            f"{check.delta.variant} minus {check.delta.minus}",
            _points(check.published),
            formatting.MISSING if check.ours is None else str(check.ours),
            "0" if check.ours is None else str(check.ours.n),
            check.verdict if table.series.limit is None else "smoke run",
        ]
        for check in table.checks
    ]
    return Cells(headers, rows, frozenset(), frozenset({2, 3, 4}))


def circumstances(table: StudyTable) -> str:
    """Under which circumstances our numbers and the published ones were measured."""
    series = table.series
    options = f", --set {' '.join(series.settings)}" if series.settings else ""
    smoke = f" SMOKE RUN of {series.limit} iterations: its numbers mean nothing." if series.limit else ""
    return (
        f"Ours: {series.board}, protocol {series.ranking_hash[:8]}, profile {series.profile}, "
        f"{_data(table)}, start weights {_start_weights(table)}, {series.device}{options}.{smoke}"
    )


def caution(table: StudyTable) -> str:
    """What the published values may be compared with."""
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
    source = f"{study.paper}, {study.table}" if study.paper else study.table
    blocks = [
        f"# {formatting.markdown(study.title)}",
        f"Study `{study.name}`, after {formatting.markdown(source)}.",
    ]
    for number, table in enumerate(tables, start=1):
        if len(tables) > 1:
            blocks.append(f"## Series {number} of {len(tables)}")
        blocks += [formatting.markdown(circumstances(table)), formatting.markdown(caution(table))]
        blocks.append(markdown_table(variant_cells(table)))
        if table.checks:
            blocks += ["Differences the paper draws conclusions from:", markdown_table(check_cells(table))]
    blocks += ["## How to read this page", _LEGEND]
    if study.notes:
        blocks.append("\n".join(f"- {formatting.markdown(note)}" for note in study.notes))
    return "\n\n".join(blocks) + "\n"


def render_csv(tables: Iterable[StudyTable]) -> str:
    """One line per series and variant, unrounded to 4 digits."""
    import pandas as pd

    lines = [_csv_line(table, row) for table in tables for row in table.rows]
    return pd.DataFrame(lines).to_csv(index=False, float_format="%.4f", lineterminator="\n")


def write_studies(tables: Iterable[StudyTable], folder: Path) -> list[Path]:
    """Writes ``<study>-<board>.md`` and ``.csv`` into ``folder``, and returns the paths of the pages.

    Args:
        tables: those of one study and board stand together.
        folder: where to; created if missing.

    Raises:
        RunStateError: the folder cannot be written.
    """
    pages = []
    for name, group in groupby(tables, key=_file_name):
        own = list(group)
        atomic.write_text(folder / f"{name}.md", render_markdown(own))
        atomic.write_text(folder / f"{name}.csv", render_csv(own))
        pages.append(folder / f"{name}.md")
    return pages


def _file_name(table: StudyTable) -> str:
    return f"{table.study.name}-{table.series.board}".replace("/", "-")


def _variant_row(row: StudyRow, compared: bool, memory: bool) -> list[str]:
    printed = row.variant.published
    cells = [
        row.variant.label,
        row.variant.method,
        formatting.assignments(row.variant.settings) or "as published",
        formatting.seed_list(record.seed for record in row.records) if row.records else "0",
        formatting.MISSING if row.miou is None else str(row.miou),
    ]
    cells += [_difference(row.difference)] if compared else []
    cells.append(_printed(printed))
    cells += [_points(row.published_difference)] if compared else []
    if memory:
        peak = max((record.cost.peak_memory_mib for record in row.records), default=None)
        cells.append(formatting.MISSING if peak is None else formatting.memory(peak))
        known = printed is not None and printed.memory_gb is not None
        cells.append(f"{printed.memory_gb:g} GB" if printed and known else formatting.MISSING)
    return cells


def _printed(published: Published | None) -> str:
    if published is None:
        return formatting.MISSING
    spread = "" if published.std is None else f" ± {published.std:.1f}"
    seeds = "" if published.seeds is None else f" ({published.seeds} seeds)"
    return f"{published.miou:.1f}{spread}{seeds}"


def _points(value: float | None) -> str:
    return formatting.MISSING if value is None else f"{value:+.1f}"


def _difference(found: Difference | None) -> str:
    return formatting.MISSING if found is None else f"{found} (n={found.n})"


def _published_view(table: StudyTable) -> str:
    views = dict.fromkeys(
        View(v.published.class_set, v.published.split) for v in table.study.variants if v.published
    )
    return " / ".join(map(str, views)) or "none"


def _data(table: StudyTable) -> str:
    kinds = sorted({str(f.get("provenance")) for record in table.records for f in record.data.values()})
    return f"{formatting.enumeration(kinds)} data" if kinds else "no data yet"


def _start_weights(table: StudyTable) -> str:
    return (
        formatting.enumeration(sorted({record.network.pretraining for record in table.records}))
        or "unknown yet"
    )


def _csv_line(table: StudyTable, row: StudyRow) -> dict[str, object]:
    variant, series, gap, miou = row.variant, table.series, row.difference, row.miou
    printed = variant.published
    return {
        "study": table.study.name,
        "board": series.board,
        "ranking_hash": series.ranking_hash,
        "profile": series.profile,
        "device": series.device,
        "limit": "" if series.limit is None else str(series.limit),
        "set": " ".join(series.settings),
        "variant": variant.label,
        "method": variant.method,
        "settings": formatting.assignments(variant.settings),
        "resolved": _resolved(row),
        "group_hash": series.variants.get(variant.label),
        "class_set": table.view.class_set if table.view else None,
        "split": table.view.split if table.view else None,
        "n_seeds": len(row.records),
        "seeds": " ".join(str(record.seed) for record in row.records),
        "miou_mean": miou and miou.mean,
        "miou_std": miou and miou.std,
        "reference": table.study.reference,
        "difference_mean": gap and gap.mean,
        "difference_std": gap and gap.std,
        "difference_n": gap.n if gap else 0,
        **_csv_published(variant),
        "published_difference": row.published_difference,
        "peak_memory_mib": max((record.cost.peak_memory_mib for record in row.records), default=None),
        "published_memory_gb": printed and printed.memory_gb,
    }


def _resolved(row: StudyRow) -> str:
    """What the study and the user changed, as it was run."""
    return formatting.assignments(row.records[0].overrides) if row.records else ""


def _csv_published(variant: Variant) -> dict[str, object]:
    printed = variant.published
    return {
        "published_miou": printed and printed.miou,
        "published_std": printed and printed.std,
        "published_seeds": str(printed.seeds) if printed and printed.seeds else "",
        "published_class_set": printed and printed.class_set,
        "published_split": printed and printed.split,
    }
