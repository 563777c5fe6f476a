"""A page per dataset: its header, its facts, and the benchmarks that use it."""

from __future__ import annotations

from collections.abc import Sequence

from adaptbench.contracts import plugins
from adaptbench.contracts.benchmark import Benchmark
from adaptbench.contracts.dataset import Dataset
from adaptbench.contracts.plugins import Plugin, Registry
from adaptbench.handbook.markdown import docstring_of, first_line, page, prose, section, table
from adaptbench.reporting.published.facts import Published

#: What a benchmark uses splits for, in words.
_ROLES = {"source": "source", "target": "target", "evaluation": "scored", "also": "scored beside"}


def dataset_page(plugin: Plugin, registry: Registry, published: Published) -> str:
    """The page of a dataset of the checkout."""
    dataset: type[Dataset] = plugins.load(plugin)
    docstring = docstring_of(plugin)
    broken = [[f"`{name}`", reason] for name, reason in sorted(dataset.broken.items())]
    return page(
        f"{plugin.title} (`{plugin.name}`)",
        [
            first_line(docstring),
            _facts(plugin, dataset, published),
            prose(docstring),
            section("Splits", _splits(dataset)),
            section("Images that are left out", table(["image", "why"], broken)),
            section("Benchmarks", _benchmarks(plugin.name, registry)),
        ],
    )


def index(registry: Registry, names: Sequence[str]) -> str:
    """The list of datasets."""
    found = [registry.plugins["dataset"][name] for name in names]
    rows = [[f"[`{p.name}`]({p.name}.md)", p.title, str(p.literals["licence"])] for p in found]
    said = (
        "None comes with the package: get them from their authors. Your own data: "
        "[a YAML file](../your-own-data.md), or [a plug-in](../add-a-dataset-or-benchmark.md)."
    )
    return page("Datasets", [table(["name", "title", "licence"], rows), said])


def _facts(plugin: Plugin, dataset: type[Dataset], published: Published) -> str:
    paper = published.datasets.get(plugin.name)
    width, height = dataset.image_size
    folders = ", ".join(f"`{name}`" for name in dataset.folders)
    rows = [
        ["licence", dataset.licence],
        ["homepage", dataset.homepage],
        ["paper", f"{paper.title}, {paper.citation}" if paper else ""],
        ["folder", f"`--data-path {plugin.name}=FOLDER`, or below `--data-root`: {folders}"],
        ["usual size", f"{width} x {height} pixels"],
        ["label ids", f"`{dataset.id_space}`"],
        ["source", f"[datasets/{plugin.file.name}](../../datasets/{plugin.file.name})"],
        ["check it", f"`python run_all.py data verify {plugin.name} --data-root DATA`"],
    ]
    return table(["", ""], [row for row in rows if row[1]])


def _splits(dataset: type[Dataset]) -> str:
    rows = []
    for name, split in dataset.splits.items():
        count, labels = "" if split.count is None else str(split.count), "yes" if split.labelled else "no"
        rows.append([f"`{name}`", count, labels, split.note])
    return table(["split", "images", "labels", "note"], rows)


def _benchmarks(name: str, registry: Registry) -> str:
    """What every benchmark uses the dataset for."""
    rows = []
    for benchmark_name in registry.names("benchmark"):
        benchmark: type[Benchmark] = plugins.load(registry.find("benchmark", benchmark_name))
        said = []
        for role, word in _ROLES.items():
            splits = [ref.split for ref in getattr(benchmark, role) if ref.dataset == name]
            said += [f"{word}: {', '.join(splits)}"] if splits else []
        if said:
            rows.append([f"`{benchmark_name}`", benchmark.class_set, "; ".join(said)])
    return table(["benchmark", "class set", "used as"], rows)
