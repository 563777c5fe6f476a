"""Labelled splits that exist here: in official folders, or in a generated world."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from adaptbench.contracts import plugins
from adaptbench.contracts.benchmark import Benchmark, SplitRef
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.profiles import Provenance
from adaptbench.data import minicity
from adaptbench.data.taxonomy import label_map
from adaptbench.errors import AdaptBenchError, DataError, UsageError, unknown_name
from adaptbench.planning import sources
from adaptbench.planning.request import Request
from adaptbench.records.jobspec import DataSource


@dataclass(frozen=True)
class LabelledSplit:
    """A split that can be scored.

    Attributes:
        source: where it lies; a generated one need not be there yet.
        limit: as in smoke runs: use few images.
    """

    ref: SplitRef
    dataset: type[Dataset]
    source: DataSource
    limit: int | None

    def open(self) -> tuple[Dataset, list[Sample]]:
        """The dataset and the samples to score; all of them have a label file."""
        dataset = self.dataset(Path(self.source.root))
        return dataset, sources.scored_samples(dataset, self.ref.split, self.limit)


@dataclass(frozen=True)
class Search(sources.Search):
    """Looks for splits whose labels the class set can express."""

    class_set: str

    def find(self, wanted: Mapping[SplitRef, Provenance]) -> tuple[list[LabelledSplit], dict[SplitRef, str]]:
        """The splits of ``wanted`` that exist, and for every other one why it does not count."""
        found: list[LabelledSplit] = []
        missing: dict[SplitRef, str] = {}
        for ref, provenance in wanted.items():
            try:
                found.append(self._split(ref, provenance))
            except AdaptBenchError as error:
                missing[ref] = str(error)
        return found, missing

    def _split(self, ref: SplitRef, provenance: Provenance) -> LabelledSplit:
        dataset = sources.dataset_class(self.registry, ref.dataset)
        if provenance == "generated":
            label_map(dataset.id_space, self.class_set)
            return LabelledSplit(ref, dataset, self._generated(ref), self.request.limit)
        opened = sources.open_official(self.registry, ref.dataset, self.request)
        label_map(opened.id_space, self.class_set)
        return LabelledSplit(ref, dataset, sources.official_source(opened, [ref], [ref]), self.request.limit)

    def _generated(self, ref: SplitRef) -> DataSource:
        """``ref`` in the world that a run of the default benchmark makes; a world of its own where that has none."""
        default = _benchmark(self.registry, Request.benchmarks[0])
        refs = [one for one in sources.refs(default) if one.dataset == ref.dataset]
        wanted = refs if str(ref) in map(str, refs) else [ref]
        return self.generated(ref.dataset, wanted)


def all_splits(
    registry: plugins.Registry, provenance: Provenance, class_set: str
) -> dict[SplitRef, Provenance]:
    """Every split with public labels that ``class_set`` can express, those that most benchmarks score first.

    In generated worlds only those that benchmarks score: the others could be made in any number. What streams is left
    out there, since other benchmarks train on its images.
    """
    scored: Counter[str] = Counter()
    for name in registry.names("benchmark"):
        benchmark = _benchmark(registry, name)
        fixed = benchmark.evaluation if benchmark.stream is None else benchmark.evaluation[1:]
        scored.update(str(ref) for ref in (*fixed, *benchmark.also))
    refs = [
        SplitRef(name, split)
        for name in registry.names("dataset")
        for split, facts in sources.dataset_class(registry, name).splits.items()
        if facts.labelled and expressible(sources.dataset_class(registry, name), class_set)
    ]
    if provenance == "generated":
        refs = [ref for ref in refs if str(ref) in scored]
    refs.sort(key=lambda ref: (-scored[str(ref)], str(ref)))
    return dict.fromkeys(refs, provenance)


def benchmark_splits(
    registry: plugins.Registry, names: Iterable[str], provenance: Provenance
) -> dict[SplitRef, Provenance]:
    """The splits that benchmarks score, with the provenance that each pins."""
    wanted: dict[SplitRef, Provenance] = {}
    for name in names:
        benchmark = _benchmark(registry, name)
        for stated in benchmark.evaluation:
            ref, kind = (
                SplitRef(stated.dataset, stated.split),
                benchmark.provenance.get(stated.dataset, provenance),
            )
            if wanted.setdefault(ref, kind) != kind:
                raise UsageError(
                    f"--benchmarks: {ref} would be generated for one and official for another. Name one."
                )
    return wanted


def named_splits(
    registry: plugins.Registry, names: Iterable[str], provenance: Provenance
) -> dict[SplitRef, Provenance]:
    """The splits written ``DATASET/SPLIT``; a UsageError for one that is not known or has no public labels."""
    wanted = {}
    for ref in map(SplitRef.parse, names):
        splits = sources.dataset_class(registry, ref.dataset).splits
        if ref.split not in splits:
            raise unknown_name(f"split of {ref.dataset}", ref.split, splits)
        if not splits[ref.split].labelled:
            raise UsageError(f"--splits {ref}: it has no public labels.")
        wanted[ref] = provenance
    return wanted


def label_places(registry: plugins.Registry, request: Request) -> list[Path]:
    """Where labels are: of every official dataset that is found, and all generated worlds."""
    places = [minicity.cache_folder() / "minicity"]
    for name in registry.names("dataset"):
        with suppress(DataError):  # it is not there
            places += sources.open_official(registry, name, request).label_places
    return places


def expressible(dataset: type[Dataset] | Dataset, class_set: str) -> bool:
    """Whether labels of the dataset can be scored in the class set, as far as it is known without its folder."""
    try:
        return not hasattr(dataset, "id_space") or label_map(dataset.id_space, class_set) is not None
    except UsageError:
        return False


def _benchmark(registry: plugins.Registry, name: str) -> type[Benchmark]:
    loaded: type[Benchmark] = plugins.load(registry.find("benchmark", name))
    return loaded


def require_any(found: Sequence[LabelledSplit], missing: Mapping[SplitRef, str], class_set: str) -> None:
    """Raises DataError if nothing was found; says what was looked for and what to do."""
    if not found:
        looked = ", ".join(map(str, missing)) or "no split"
        reason = next(iter(missing.values()), "There is no dataset.")
        raise DataError(
            f"Nothing to score in {class_set}: looked for {looked}. {reason} Or score on the generated world: "
            "--data generated."
        )
