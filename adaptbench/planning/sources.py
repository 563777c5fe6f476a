"""Where the data of a benchmark comes from: official folders, or generated worlds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from adaptbench.contracts import plugins
from adaptbench.contracts.benchmark import Benchmark, SplitRef
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.profiles import Profile, Provenance
from adaptbench.data import archives, layout, minicity
from adaptbench.errors import DataError, UsageError, unknown_name
from adaptbench.planning.request import Request, parse_paths
from adaptbench.records.jobspec import DataSource

#: Dials of a generated world that a user may set; the scale is the profile's.
DIALS = {f.name: f.default for f in fields(minicity.WorldSpec) if f.name != "scale"}

#: A smoke run of N iterations uses at most this many images per split.
SMOKE_IMAGES_PER_ITERATION = 2
SMOKE_IMAGES_AT_LEAST = 4


def check_dial(name: str, value: Any) -> Any:
    """``value`` if ``minicity.name`` is a dial and the value fits it, else a UsageError."""
    if name not in DIALS:
        raise unknown_name("dial of minicity", name, DIALS)
    return getattr(minicity.WorldSpec(**{name: value}), name)


@dataclass(frozen=True)
class Search:
    """Where data is looked for: in the folders of a request, or in the generated world with these dials."""

    profile: Profile
    registry: plugins.Registry
    request: Request
    dials: Mapping[str, Any]

    def moved_dials(self) -> dict[str, Any]:
        """The dials that do not stand where they usually do."""
        usual = minicity.WorldSpec()
        return {dial: value for dial, value in self.dials.items() if value != getattr(usual, dial)}

    def locate(self, benchmark: type[Benchmark], provenance: Provenance) -> dict[str, DataSource]:
        """The data source of every dataset of ``benchmark``. Nothing is generated yet.

        Raises:
            DataError: an official folder, its images, or labels of the source or the evaluation are missing.
            UsageError: a dataset that cannot be generated is wanted as generated.
        """
        labelled, found = {*benchmark.source, *benchmark.scored()}, {}
        for name in benchmark.datasets():
            kind = benchmark.provenance.get(name, provenance)
            used = [ref for ref in refs(benchmark) if ref.dataset == name]
            found[name] = self._source(kind, name, used, labelled)
        return found

    def locate_also(
        self, benchmark: type[Benchmark], provenance: Provenance
    ) -> tuple[dict[str, DataSource], list[str]]:
        """The data source of every split beside those that is there, by split, and the other splits.

        What would have to be generated is left out unless it was asked for.
        """
        found: dict[str, DataSource] = {}
        missing: list[str] = []
        for ref in benchmark.beside():
            kind = benchmark.provenance.get(ref.dataset, provenance)
            if ref.generated_only if kind == "official" else not self.request.full:
                continue
            try:
                found[str(ref)] = self._source(kind, ref.dataset, [ref], [ref])
            except (DataError, UsageError):
                missing.append(str(ref))
        return found, missing

    def generated(self, name: str, refs: Sequence[SplitRef]) -> DataSource:
        """The splits ``refs`` of a dataset in the generated world, which need not be there yet."""
        missing = [str(ref) for ref in refs if str(ref) not in self.profile.generated]
        if missing:
            raise UsageError(
                f"MiniCity does not generate {', '.join(dict.fromkeys(missing))} (profile {self.profile.name}). "
                "Use --data official with the real dataset."
            )
        counts = {ref.split: cap(self.profile.generated[str(ref)], self.request.limit) for ref in refs}
        world = minicity.WorldSpec(scale=self.profile.scale, **self.dials)
        version = minicity.fingerprint(world, name, counts)
        root = str(minicity.cache_folder() / "minicity" / f"{name}-{version}")
        return DataSource(
            root=root, provenance="generated", version=version, dials=world.dials(), counts=counts
        )

    def _source(
        self, kind: Provenance, name: str, refs: Sequence[SplitRef], labelled: Collection[SplitRef]
    ) -> DataSource:
        if kind == "generated":
            return self.generated(name, refs)
        return official_source(open_official(self.registry, name, self.request), refs, labelled)


def unlabelled_targets(benchmark: type[Benchmark], registry: plugins.Registry) -> list[str]:
    """Target splits that have no public labels."""
    return [
        str(ref)
        for ref in benchmark.target
        if not dataset_class(registry, ref.dataset).splits[ref.split].labelled
    ]


def cap(count: int, limit: int | None) -> int:
    """Number of images used of ``count`` in a smoke run of ``limit`` iterations (None: all)."""
    return (
        count if limit is None else min(count, max(SMOKE_IMAGES_AT_LEAST, SMOKE_IMAGES_PER_ITERATION * limit))
    )


def scored_cap(count: int, limit: int | None) -> int:
    """Number of images scored of ``count`` in a smoke run: one per iteration, since full-size ones take minutes."""
    return count if limit is None else min(count, limit)


def generate(
    sources: Iterable[tuple[str, DataSource]], announce: Callable[[str, int], Callable[[int, int], None]]
) -> None:
    """Generates every generated source that the cache lacks.

    ``announce`` is told a dataset and its number of images, and returns what is told how many of how many are done.
    """
    for name, source in {source.root: (name, source) for name, source in sources}.values():
        if source.provenance == "generated" and not Path(source.root).is_dir():
            progress = announce(name, sum(source.counts.values()))
            minicity.ensure(minicity.WorldSpec(**source.dials), name, source.counts, progress=progress)


def dataset_class(registry: plugins.Registry, name: str) -> type[Dataset]:
    """The dataset plug-in called ``name``."""
    return plugins.load_subclass(registry.find("dataset", name), Dataset)  # type: ignore[type-abstract]


_UNPACK = " Unpack the labels of the official release beside the images."


def official_names(data: Mapping[str, DataSource]) -> set[str]:
    """Names of the datasets that are official."""
    return {name for name, source in data.items() if source.provenance == "official"}


def open_official(registry: plugins.Registry, name: str, request: Request) -> Dataset:
    """The official dataset ``name`` where `official_root` finds it."""
    return dataset_class(registry, name)(official_root(registry, name, request))


def folders(
    registry: plugins.Registry, data_root: Path | None, data_path: Sequence[str], limit: int | None = None
) -> Request:
    """A request for official data alone; a UsageError for a folder of an unknown dataset."""
    request = Request(data_root=data_root, data_paths=parse_paths(data_path), limit=limit)
    for name in request.data_paths:
        registry.find("dataset", name)
    return request


def scored_samples(dataset: Dataset, split: str, limit: int | None) -> list[Sample]:
    """The samples of a split that are scored; a DataError says how many of them have no label file."""
    samples = dataset.usable(split)
    samples = samples[: scored_cap(len(samples), limit)]
    require_labels(dataset, split, samples)
    return samples


def stream_samples(
    dataset: Dataset, split: str, conditions: Sequence[str], limit: int | None
) -> list[Sample]:
    """The samples of one round of a stream, in its order; in a smoke run so many of every condition.

    Raises:
        DataError: no image has one of the conditions, or labels are missing.
    """
    if not conditions:
        return scored_samples(dataset, split, limit)
    by_condition: dict[str, list[Sample]] = {condition: [] for condition in conditions}
    for sample in dataset.usable(split):
        by_condition.get(sample.tags.get("condition", ""), []).append(sample)
    lacking = [condition for condition, found in by_condition.items() if not found]
    if lacking:
        raise DataError(
            f"{dataset.name}/{split}: no image under {dataset.root} is tagged {', '.join(lacking)}, which the stream "
            f"shows. Conditions are told by the folders of the official layout. {dataset.where_to_get()}"
        )
    samples = [sample for found in by_condition.values() for sample in found[: scored_cap(len(found), limit)]]
    require_labels(dataset, split, samples)
    return samples


def require_labels(dataset: Dataset, split: str, samples: Iterable[Sample]) -> None:
    """Raises DataError unless the split has labels and every sample's file exists: says how many lack one."""
    facts = dataset.splits[split]
    if not facts.labelled:
        note = f" ({facts.note})" if facts.note else ""
        raise DataError(f"{dataset.name}/{split} has no public labels{note}. Take another split.")
    everything = list(samples)
    missing = [sample.label for sample in everything if not archives.is_file(sample.label)]
    if missing:
        examples = ", ".join(str(path) for path in missing[:3])
        raise DataError(
            f"{dataset.name}/{split}: {len(missing)} of {len(everything)} images under {dataset.root} have no "
            f"label file, for example {examples}.{layout.beside(missing[0]) or _UNPACK}"
        )


def refs(benchmark: type[Benchmark]) -> list[SplitRef]:
    """Every split that training or ranking needs."""
    return [*benchmark.source, *benchmark.target, *benchmark.scored()]


def official_root(registry: plugins.Registry, name: str, request: Request) -> Path:
    """Folder of a dataset: its --data-path, else a known name under --data-root, else a DataError."""
    dataset = dataset_class(registry, name)
    if name in request.data_paths:
        return Path(os.path.realpath(request.data_paths[name]))
    if dataset.default_root is not None:
        return dataset.default_root
    if request.data_root is None:
        raise DataError(f"{name}: no data folder given. {dataset.where_to_get()}")
    candidates = [request.data_root / folder for folder in dataset.folders]
    for folder in candidates:
        if folder.is_dir():
            return folder.resolve()
    looked = ", ".join(map(str, candidates))
    raise DataError(f"{name}: not found; looked for {looked}. {dataset.where_to_get()}")


def official_source(dataset: Dataset, refs: Iterable[SplitRef], labelled: Collection[SplitRef]) -> DataSource:
    """The splits ``refs`` of an official dataset; its version is the list of their images."""
    listing = hashlib.sha256(dataset.definition.encode())
    for ref in sorted(set(refs), key=str):
        samples = dataset.usable(ref.split)
        if ref in labelled:
            require_labels(dataset, ref.split, samples)
        listing.update("\n".join([str(ref), *(sample.name for sample in samples)]).encode())
    return DataSource(root=str(dataset.root), provenance="official", version=listing.hexdigest()[:12])
