"""The page of a run: what was asked for, where it ran, what came out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

from adaptbench.records import formatting
from adaptbench.records.confusion_files import matrices_file
from adaptbench.records.jobspec import predictions_folder
from adaptbench.records.record import Record
from adaptbench.reporting import costs
from adaptbench.reporting.board import Row
from adaptbench.reporting.columns import column, number
from adaptbench.reporting.page import curves, names
from adaptbench.reporting.page.charts import confusion
from adaptbench.reporting.page.curves import Metric
from adaptbench.reporting.page.strips import run_images
from adaptbench.reporting.page.tables import PageTable
from adaptbench.reporting.table import Table


def run_page(
    record: Record,
    row: Row,
    job: Path,
    folder: Path,
    board_href: str,
    metrics: Mapping[str, Metric],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """What the template shows of one run of ``row``; its images are written below ``folder``, the page's.

    ``say`` is told of files that are damaged.
    """
    first = record.scores[0]
    predictions = predictions_folder(job, first.split)
    images, legend = run_images(predictions, first.class_set, folder, names.of_run(record), say)
    caption = "Scores; the first split is the ranked one"
    return {
        "record": record,
        "href": names.run_href(record),
        "board_href": board_href,
        "standing": row.standing,
        "variant": row.variant,
        "scores": PageTable(Table(_SCORES, record.scores), "scores", caption),
        "classes": _classes(record),
        "confusion": confusion(matrices_file(job, first.split), first, say),
        "facts": _facts(record),
        "settings": _settings(record),
        "environment": sorted(record.environment.items()),
        "data": [(name, formatting.assignments(facts)) for name, facts in sorted(record.data.items())],
        "curves": curves.charts([(f"seed {record.seed}", metrics)]),
        "images": images,
        "legend": legend,
    }


_SCORES = [
    column("split", "split"),
    column("class set", "class_set"),
    number("mIoU (%)", "miou", "{:.2f}".format),
    number("pixel accuracy (%)", "accuracy", "{:.2f}".format),
    number("images", "images"),
    column("images from", "provenance"),
]


def _classes(record: Record) -> PageTable[str]:
    """A line per class, a column per split."""
    listed = list(dict.fromkeys(name for score in record.scores for name in score.iou))
    ious = [number(f"IoU (%), {s.split}", s.iou.get, "{:.1f}".format, heat=True) for s in record.scores]
    caption = f"IoU per class, {record.scores[0].class_set}"
    return PageTable(Table([column("class", str), *ious], listed), "classes", caption)


def _facts(record: Record) -> tuple[tuple[str, str], ...]:
    cost, network = record.cost, record.network
    return (
        ("method", f"{record.method_title} ({record.method}), version {record.method_version}"),
        ("paper", record.paper or "none"),
        ("tags", ", ".join(record.tags) or "none"),
        ("benchmark", f"{record.benchmark_title} ({record.benchmark})"),
        ("setting", record.setting),
        ("profile", record.profile),
        *_sizes(record),
        ("seed", str(record.seed)),
        ("network", f"{network.name}, {formatting.parameters(network.parameters)} parameters"),
        ("start weights", formatting.start(network.pretraining)),
        ("iterations", str(record.iterations)),
        ("training time", formatting.duration(cost.training_seconds)),
        ("evaluation time", formatting.duration(cost.evaluation_seconds)),
        *costs.facts(cost),
        ("peak memory", formatting.memory(cost.peak_memory_mib)),
        ("precision", record.precision),
        *(() if record.compilation is None else (("compiled", str(record.compilation)),)),
        *(() if record.accumulate == 1 else (("parts of a step", str(record.accumulate)),)),
        ("device", cost.device),
        ("origin", record.origin),
        ("job", record.job_hash),
        ("ranking", record.ranking_hash),
        ("weights (sha256)", record.weights_sha256),
    )


def _sizes(record: Record) -> list[tuple[str, str]]:
    """Per dataset at which size its images are shown, and which size it states; records of version 4 do not say."""
    return [
        (
            f"size of {name}",
            f"{size.shown[0]}x{size.shown[1]} shown to the network, {size.stated[0]}x{size.stated[1]} stated",
        )
        for name, size in sorted((record.shown_sizes or {}).items())
    ]


def _settings(record: Record) -> PageTable[tuple[str, Any]]:
    changed = formatting.flatten(record.overrides)

    def origin(setting: tuple[str, Any]) -> str:
        return "changed with --set" if setting[0] in changed else record.settings_origin

    value = column("value", lambda setting: formatting.value(setting[1]))
    columns = [column("setting", itemgetter(0)), value, column("origin", origin, filtered=True)]
    settings = sorted((changed | formatting.flatten(record.settings)).items())
    return PageTable(Table(columns, settings), "settings", "Settings as the profile converted them")
