"""``data verify``: is a dataset complete and as released? ``data stats``: which classes it shows how often.

``data cache`` has a file of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table

from adaptbench.commands.data_cache import keep_images
from adaptbench.commands.output import cell, say
from adaptbench.commands.progress import bars
from adaptbench.contracts import plugins
from adaptbench.contracts.benchmark import Benchmark
from adaptbench.contracts.dataset import Dataset
from adaptbench.contracts.plugins import Plugin, Registry
from adaptbench.data.taxonomy import CLASS_SETS
from adaptbench.errors import DataError
from adaptbench.execution.checkpoints.labelled import expressible
from adaptbench.flags import EXIT_UNFINISHED, Data
from adaptbench.flags.options import require_positive
from adaptbench.inspection.verify import SplitReport, verify_splits
from adaptbench.planning import sources

#: Findings of one split that are printed; all are counted.
SHOWN = 20


def execute(command: Data) -> int:
    """Runs one of the actions; 1 if ``verify`` found a defect that the official release does not have."""
    require_positive(command, "jobs")
    console = Console()
    registry = plugins.discover(command.plugins)
    found = _opened(registry, command)
    if command.action == "cache":
        return keep_images(console, registry, found, command.image_cache, command.jobs)
    if command.action == "verify":
        return max(_verify(console, plugin, dataset, command.jobs) for plugin, dataset in found)
    return max(_stats(console, registry, plugin, dataset, command.jobs) for plugin, dataset in found)


def _opened(registry: Registry, command: Data) -> list[tuple[Plugin, Dataset]]:
    """The datasets asked for; without names, those that are there."""
    request = sources.folders(registry, command.data_root, command.data_path)
    found = []
    for name in command.names or registry.names("dataset"):
        try:
            found.append((registry.find("dataset", name), sources.open_official(registry, name, request)))
        except DataError:
            if command.names:
                raise
    if not found:
        raise DataError("No dataset found. Pass --data-root (the parent folder) or --data-path NAME=FOLDER.")
    return found


def _verify(console: Console, plugin: Plugin, dataset: Dataset, jobs: int | None) -> int:
    with bars(console) as add:
        reports, absent = verify_splits(
            plugin, dataset, lambda split, count: add(f"{dataset.name}/{split}", count), jobs
        )
    console.print(_report_table(dataset, reports))
    if absent:
        console.print(f"not there: {', '.join(absent)}", style="yellow", highlight=False)
    if not reports:
        say(console, next(iter(absent.values())), "red")
        console.print(f"{dataset.name}: nothing found", style="red", highlight=False)
        return EXIT_UNFINISHED
    for report in reports:
        _print_findings(console, report)
    wrong = sum(len(report.new) for report in reports)
    text = f"{dataset.name}: {wrong} defects" if wrong else f"{dataset.name}: no defects"
    console.print(text, style="red" if wrong else "green", highlight=False)
    return EXIT_UNFINISHED if wrong else 0


def _report_table(dataset: Dataset, reports: Sequence[SplitReport]) -> Table:
    headers = ("split", "images", "expected", "sizes", "ids", "defects", "known")
    title = cell(f"{dataset.name} in {dataset.root}")
    table = Table(*headers, title=title, title_justify="left", box=None, pad_edge=False)
    for report in reports:
        sizes = ", ".join(f"{w}x{h}" for (w, h), _ in report.sizes.most_common(3))
        more = f" and {len(report.sizes) - 3} more" if len(report.sizes) > 3 else ""
        known = len(report.findings) - len(report.new)
        expected = report.expected.count
        cells = (report.split, report.images, "any" if expected is None else expected, sizes + more)
        table.add_row(*map(str, (*cells, len(report.ids), len(report.new), known)))
    return table


def _print_findings(console: Console, report: SplitReport) -> None:
    for finding in report.findings[:SHOWN]:
        style = "yellow" if finding.known else "red"
        text = f"{report.dataset}/{report.split} {finding.name or 'split'}: {finding.kind}. {finding.text}"
        say(console, text, style)
    if len(report.findings) > SHOWN:
        left = f"{report.dataset}/{report.split}: {len(report.findings) - SHOWN} more."
        console.print(left, style="red", highlight=False)


def _stats(console: Console, registry: Registry, plugin: Plugin, dataset: Dataset, jobs: int | None) -> int:
    from adaptbench.inspection.rare_classes import statistics  # imports torch

    shown = 0
    for split, class_sets in _wanted(registry, dataset).items():
        for class_set in class_sets:
            try:
                samples = dataset.usable(split)
                sources.require_labels(dataset, split, samples)
            except DataError as error:
                say(console, f"{dataset.name}/{split} is left out. {error}", "yellow")
                break
            with bars(console) as add:
                tell = add(f"{dataset.name}/{split}", len(samples))
                found = statistics(plugin, dataset, samples, class_set, tell, jobs)
            title = f"{dataset.name}/{split}, {class_set}, {len(samples)} images"
            numbers = ("pixels", "share", "images", "drawn by rare class sampling")
            right = (Column(header, justify="right") for header in numbers)
            table = Table("class", *right, title=title, title_justify="left", box=None)
            for row in found:
                table.add_row(*row.cells())
            console.print(table)
            shown += 1
    return 0 if shown else EXIT_UNFINISHED


def _wanted(registry: Registry, dataset: Dataset) -> dict[str, list[str]]:
    """Labelled splits with class sets: those that benchmarks train on, or all where none does."""
    labelled = [split for split, facts in dataset.splits.items() if facts.labelled]
    used: dict[str, list[str]] = {}
    for name in registry.names("benchmark"):
        benchmark: type[Benchmark] = plugins.load(registry.find("benchmark", name))
        for ref in benchmark.source:
            if ref.dataset == dataset.name and benchmark.class_set not in used.setdefault(ref.split, []):
                used[ref.split].append(benchmark.class_set)
    return used or {split: [name for name in CLASS_SETS if expressible(dataset, name)] for split in labelled}
