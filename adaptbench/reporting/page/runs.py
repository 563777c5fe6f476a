"""The page of a run: what was asked for, where it ran, what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptbench.records import formatting
from adaptbench.records.confusion_files import matrices_file
from adaptbench.records.record import Record
from adaptbench.reporting import costs
from adaptbench.reporting.board import standing
from adaptbench.reporting.leaderboard import Cells
from adaptbench.reporting.page import curves, names
from adaptbench.reporting.page.charts import LineChart
from adaptbench.reporting.page.confusion import Matrix, confusion
from adaptbench.reporting.page.curves import Metric
from adaptbench.reporting.page.strips import Picture, Swatch, run_pictures
from adaptbench.reporting.page.tables import Table, from_cells, heat_map

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RunPage:
    """What the template of a run shows.

    Attributes:
        board_href: page of the board it stands on.
        standing: whether it is ranked, and if not, as what it is shown.
    """

    record: Record
    href: str
    board_href: str
    standing: str
    scores: Table
    classes: Table
    confusion: Matrix | None
    facts: Facts
    settings: Table
    environment: Facts
    data: Facts
    curves: tuple[LineChart, ...]
    pictures: tuple[Picture, ...]
    legend: tuple[Swatch, ...]


def run_page(
    record: Record, job: Path, folder: Path, board_href: str, metrics: Mapping[str, Metric]
) -> RunPage:
    """Everything of one run; its pictures are written below ``folder``.

    Args:
        record: the run.
        job: its job folder.
        folder: the page's folder.
        board_href: page of its board.
        metrics: its learning curves.
    """
    first = record.scores[0]
    predictions = job / "pictures" / first.split.replace("/", "-")
    pictures, legend = run_pictures(predictions, first.class_set, folder, names.of_run(record))
    return RunPage(
        record=record,
        href=names.run_href(record),
        board_href=board_href,
        standing=standing(record),
        scores=_scores(record),
        classes=_classes(record),
        confusion=confusion(matrices_file(job, first.split), first),
        facts=_facts(record),
        settings=_settings(record),
        environment=tuple(sorted(record.environment.items())),
        data=tuple((name, formatting.assignments(facts)) for name, facts in sorted(record.data.items())),
        curves=tuple(curves.charts([(f"seed {record.seed}", metrics)])),
        pictures=pictures,
        legend=legend,
    )


def _scores(record: Record) -> Table:
    rows = [
        [s.split, s.class_set, f"{s.miou:.2f}", f"{s.accuracy:.2f}", str(s.images), s.provenance]
        for s in record.scores
    ]
    headers = ["split", "class set", "mIoU (%)", "pixel accuracy (%)", "images", "pictures"]
    return from_cells(
        Cells(headers, rows, frozenset(), frozenset({2, 3, 4})),
        "scores",
        "Scores; the first split is the ranked one",
    )


def _classes(record: Record) -> Table:
    """A row per class, a column per split."""
    listed = list(dict.fromkeys(name for score in record.scores for name in score.iou))
    rows = [[name, *(_percent(score.iou.get(name)) for score in record.scores)] for name in listed]
    headers = ["class", *(f"IoU (%), {score.split}" for score in record.scores)]
    numeric = frozenset(range(1, len(headers)))
    caption = f"IoU per class, {record.scores[0].class_set}"
    return heat_map(from_cells(Cells(headers, rows, frozenset(), numeric), "classes", caption))


def _percent(value: float | None) -> str:
    return formatting.MISSING if value is None else f"{value:.1f}"


def _facts(record: Record) -> Facts:
    cost, network = record.cost, record.network
    return (
        ("method", f"{record.method_title} ({record.method}), version {record.method_version}"),
        ("paper", record.paper or "none"),
        ("tags", ", ".join(record.tags) or "none"),
        ("benchmark", f"{record.benchmark_title} ({record.benchmark})"),
        ("setting", record.setting),
        ("profile", record.profile),
        ("seed", str(record.seed)),
        ("network", f"{network.name}, {formatting.parameters(network.parameters)} parameters"),
        ("start weights", formatting.start(network.pretraining)),
        ("iterations", str(record.iterations)),
        ("training time", formatting.duration(cost.training_seconds)),
        ("evaluation time", formatting.duration(cost.evaluation_seconds)),
        *costs.facts(cost),
        ("peak memory", formatting.memory(cost.peak_memory_mib)),
        ("device", cost.device),
        ("origin", record.origin),
        ("job", record.job_hash),
        ("ranking", record.ranking_hash),
        ("weights (sha256)", record.weights_sha256),
    )


def _settings(record: Record) -> Table:
    changed = formatting.flatten(record.overrides)
    flat: dict[str, Any] = formatting.flatten(record.settings)
    flat |= {key: value for key, value in changed.items() if key not in flat}
    rows = [
        [key, formatting.value(value), "changed with --set" if key in changed else record.settings_origin]
        for key, value in sorted(flat.items())
    ]
    return from_cells(
        Cells(["setting", "value", "origin"], rows, frozenset(), frozenset()),
        "settings",
        "Settings as the profile converted them",
        filtered=("origin",),
    )
