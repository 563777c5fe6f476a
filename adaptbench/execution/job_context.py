"""A job with everything it names loaded: plug-ins, datasets, device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from adaptbench.contracts import plugins
from adaptbench.contracts.benchmark import Benchmark, SplitRef, VoidRule
from adaptbench.contracts.dataset import Dataset
from adaptbench.contracts.method import Method
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.task import Task
from adaptbench.data import firewall, image_cache
from adaptbench.data.taxonomy import class_set
from adaptbench.errors import RunStateError
from adaptbench.evaluation.sizes import input_size, scored_size
from adaptbench.planning import sources
from adaptbench.records.jobspec import JobSpec


@dataclass(frozen=True)
class JobContext:
    """What the stages and the evaluation of a job work with.

    Attributes:
        also: opened datasets of the splits that are scored beside, by split; those that are there.
    """

    spec: JobSpec
    folder: Path
    method: type[Method]
    benchmark: type[Benchmark]
    datasets: dict[str, Dataset]
    also: dict[str, Dataset]
    task: Task
    device: torch.device

    @property
    def out(self) -> Path:
        """The results folder: ``OUT`` of ``OUT/runs/<board>/<method>/<seed>-<hash8>``."""
        return self.folder.parents[2 + len(Path(self.spec.board).parts)]

    @property
    def closed_folders(self) -> list[Path]:
        """What a method must not open: all labels, images of scored datasets that it does not adapt to, kept images."""
        return _closed_folders(self.spec, self.benchmark, self.datasets, self.also)

    @property
    def source_folders(self) -> list[Path]:
        """The folders of all source datasets, images and labels."""
        return list(dict.fromkeys(self.datasets[ref.dataset].root for ref in self.benchmark.source))

    @property
    def label_size(self) -> tuple[int, int] | None:
        """Size that labels are resized to before they are scored, (width, height) in pixels; None = as they are."""
        return scored_size(self.spec.ranking["label_size"], self.task.profile)

    @property
    def ignore(self) -> VoidRule:
        """What void pixels of the truth are."""
        rule: VoidRule = self.spec.ranking["ignore"]
        return rule

    def input_size(self, dataset: str, resolution: float) -> tuple[int, int]:
        """Box an image of ``dataset`` is resized into, (width, height) in pixels of the profile."""
        return input_size(self.datasets[dataset], resolution, self.task.profile)


def open_job_context(spec: JobSpec, folder: Path) -> JobContext:
    """Loads the plug-ins and opens the datasets a job names.

    Raises:
        PluginError: a plug-in cannot be loaded.
        DataError: a dataset's folder is gone.
        RunStateError: the device does not exist here.
    """
    if spec.device == "cuda" and not torch.cuda.is_available():
        raise RunStateError("--device cuda: this machine has no usable GPU. Use --device cpu.")
    return _context(spec, folder, lacks_data=False)


def described(spec: JobSpec, folder: Path) -> JobContext:
    """The same for who does not run it, on any machine: with the datasets that are there.

    Raises:
        PluginError: a plug-in cannot be loaded.
    """
    return _context(spec, folder, lacks_data=True)


def _context(spec: JobSpec, folder: Path, *, lacks_data: bool) -> JobContext:
    registry = plugins.discover(Path(path) for path in spec.plugins)
    benchmark = plugins.load(registry.find("benchmark", spec.benchmark))
    datasets = {
        name: sources.dataset_class(registry, name)(Path(source.root))
        for name, source in spec.data.items()
        if not lacks_data or Path(source.root).is_dir()
    }
    also = {
        text: sources.dataset_class(registry, SplitRef.parse(text).dataset)(Path(source.root))
        for text, source in spec.also.items()
        if Path(source.root).is_dir()
    }
    method = registry.find("method", spec.method)
    with firewall.closed(_closed_folders(spec, benchmark, datasets, also)):
        method_class = plugins.load(method)
    return JobContext(
        spec=spec,
        folder=folder,
        method=method_class,
        benchmark=benchmark,
        datasets=datasets,
        also=also,
        task=Task(benchmark.name, benchmark.setting, class_set(spec.class_set), profile(spec.profile)),
        device=torch.device(spec.device),
    )


def _closed_folders(
    spec: JobSpec,
    benchmark: type[Benchmark],
    datasets: Mapping[str, Dataset],
    also: Mapping[str, Dataset],
) -> list[Path]:
    labels = [context for dataset in (*datasets.values(), *also.values()) for context in dataset.label_places]
    used = {dataset.root for dataset in datasets.values()}
    unseen = [dataset.root for dataset in also.values() if dataset.root not in used]
    if benchmark.setting in ("dg", "tta"):
        scored = [ref.dataset for ref in benchmark.scored() if ref not in benchmark.source]
        unseen += [datasets[name].root for name in dict.fromkeys(scored) if name in datasets]
    kept = [] if spec.image_cache is None else [Path(spec.image_cache, image_cache.FOLDER)]
    return [*labels, *dict.fromkeys(unseen), *kept]
