"""A page per dataset: its header, its facts, and the benchmarks that use it."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from adaptbench.contracts import plugins
from adaptbench.contracts.benchmark import Benchmark, SplitRef
from adaptbench.contracts.dataset import Dataset
from adaptbench.contracts.plugins import Plugin, Registry
from adaptbench.handbook.markdown import first_line, page, prose, section, table
from adaptbench.reporting.published.facts import Published

_ROLES = ("source", "target", "evaluation", "also")
_WORDS = {"source": "source", "target": "target", "evaluation": "scored", "also": "scored beside"}


def dataset_page(plugin: Plugin, registry: Registry, published: Published) -> str:
    """The page of a dataset of the checkout."""
    dataset: type[Dataset] = plugins.load(plugin)
    docstring = ast.get_docstring(ast.parse(plugin.file.read_text(encoding="utf-8"))) or plugin.title
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
    rows = [
        ["licence", dataset.licence],
        ["homepage", dataset.homepage],
        ["paper", f"{paper.title}, {paper.citation}" if paper else ""],
        [
            "folder",
            "`--data-path " + plugin.name + "=FOLDER`, or below `--data-root`: " + _code(dataset.folders),
        ],
        ["usual size", f"{width} x {height} pixels"],
        ["label ids", f"`{dataset.id_space}`"],
        ["source", f"[datasets/{plugin.file.name}](../../datasets/{plugin.file.name})"],
        ["check it", f"`python run_all.py data verify {plugin.name} --data-root DATA`"],
    ]
    return table(["", ""], [row for row in rows if row[1]])


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _splits(dataset: type[Dataset]) -> str:
    rows = [
        [
            f"`{name}`",
            "" if split.count is None else str(split.count),
            "yes" if split.labelled else "no",
            split.note,
        ]
        for name, split in dataset.splits.items()
    ]
    return table(["split", "images", "labels", "note"], rows)


def _benchmarks(name: str, registry: Registry) -> str:
    """What every benchmark uses the dataset for."""
    rows = []
    for benchmark_name in registry.names("benchmark"):
        benchmark: type[Benchmark] = plugins.load(registry.find("benchmark", benchmark_name))
        uses = {role: _used(getattr(benchmark, role), name) for role in _ROLES}
        said = [f"{_WORDS[role]}: {', '.join(splits)}" for role, splits in uses.items() if splits]
        if said:
            rows.append([f"`{benchmark_name}`", benchmark.class_set, "; ".join(said)])
    return table(["benchmark", "class set", "used as"], rows)


def _used(refs: Sequence[SplitRef], name: str) -> list[str]:
    return [ref.split for ref in refs if ref.dataset == name]
