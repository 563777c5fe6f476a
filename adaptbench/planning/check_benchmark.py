"""Does a benchmark name only what there is? Its class set, datasets and splits; an error says which entry is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adaptbench.contracts.benchmark import Benchmark, SplitRef
from adaptbench.contracts.dataset import Dataset
from adaptbench.contracts.plugins import DESCRIPTIONS, Plugin, Registry
from adaptbench.data.taxonomy import CLASS_SETS, label_map
from adaptbench.errors import AdaptBenchError, PluginError, UsageError, unknown_name
from adaptbench.planning.sources import dataset_class
from adaptbench.storage import yaml_file

#: Which key of a benchmark states splits, and whether they need labels.
_LABELLED = {"source": True, "target": False, "evaluation": True, "also": True}


def require_known(plugin: Plugin, benchmark: type[Benchmark], registry: Registry) -> None:
    """Checks what a benchmark states; an error names line and key of a YAML file, or the attribute."""
    for keys, problem in _problems(benchmark, registry):
        if plugin.file.suffix in DESCRIPTIONS:
            raise yaml_file.wrong(plugin.file, keys, problem)
        raise PluginError(f"{plugin.file}: {'.'.join(map(str, keys))} of {benchmark.name!r}: {problem}")


def _problems(benchmark: type[Benchmark], registry: Registry) -> Iterator[tuple[list[str | int], str]]:
    """Keys of what is wrong, and why."""
    if benchmark.class_set not in CLASS_SETS:
        yield ["class_set"], str(unknown_name("class set", benchmark.class_set, CLASS_SETS))
    for key, labelled in _LABELLED.items():
        for index, ref in enumerate(getattr(benchmark, key)):
            try:
                _require_split(dataset_class(registry, ref.dataset), ref, labelled, benchmark.class_set)
            except AdaptBenchError as error:
                yield [key, index], str(error)
    yield from _repeated(benchmark)
    yield from _stream(benchmark)
    known = registry.names("dataset")
    for name in benchmark.provenance:
        if name not in known:
            yield ["data", name], str(unknown_name("dataset", name, known))


def _repeated(benchmark: type[Benchmark]) -> Iterator[tuple[list[str | int], str]]:
    """Splits that would count twice, or be scored although their labels are trained on."""
    for key in _LABELLED:
        names = [str(ref) for ref in getattr(benchmark, key)]
        for index, ref in enumerate(names):
            if ref in names[:index]:
                yield [key, index], f"{ref} is stated twice."
            if key in ("evaluation", "also") and ref in map(str, benchmark.source):
                yield (
                    [key, index],
                    f"{ref} is a source, whose labels are trained on: a score on it says nothing.",
                )


def _stream(benchmark: type[Benchmark]) -> Iterator[tuple[list[str | int], str]]:
    """A stream that does not fit the setting, or comes in no order."""
    order = benchmark.stream
    if (benchmark.setting == "tta") != (order is not None):
        yield ["setting"], "'tta' needs a stream, and other settings have none."
    if benchmark.setting == "tta" and benchmark.target:
        yield (
            ["target"],
            "'tta' has no target: its images are seen in the test alone, which evaluation states.",
        )
    if order is not None and order.rounds < 1:
        yield ["stream", "rounds"], f"expected 1 round or more, found {order.rounds}."
    if order is not None and len(set(order.conditions)) < len(order.conditions):
        yield ["stream", "conditions"], "a condition is stated twice; rounds say how often all of them come."


def _require_split(dataset: type[Dataset], ref: SplitRef, labelled: bool, classes: str) -> None:
    """Raises UsageError unless the dataset has the split, with labels that the class set can express if need be."""
    if ref.split not in dataset.splits:
        raise unknown_name(f"split of {ref.dataset}", ref.split, dataset.splits)
    if not labelled:
        return
    facts: Any = dataset.splits[ref.split]
    if not facts.labelled:
        others = ", ".join(name for name, other in dataset.splits.items() if other.labelled)
        note = f" ({facts.note})" if facts.note else ""
        raise UsageError(
            f"{ref} has no public labels{note}. Splits of {ref.dataset} that have: {others or 'none'}."
        )
    if hasattr(dataset, "id_space"):
        label_map(dataset.id_space, classes)
