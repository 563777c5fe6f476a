"""Can the stream of a benchmark be made, and can a method adapt to it? Asked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from adaptbench.contracts import plugins
from adaptbench.contracts.benchmark import Benchmark
from adaptbench.contracts.dataset import Dataset
from adaptbench.contracts.settings import Settings
from adaptbench.contracts.stream_method import StreamMethod
from adaptbench.contracts.task import Task
from adaptbench.evaluation.sizes import input_size
from adaptbench.planning import sources
from adaptbench.planning.given import Given
from adaptbench.records.jobspec import DataSource


def require_conditions(
    benchmark: type[Benchmark], data: Mapping[str, DataSource], registry: plugins.Registry
) -> None:
    """Raises DataError where the official images of a stream lack one of its conditions."""
    ranked = benchmark.evaluation[0]
    source = data[ranked.dataset]
    if benchmark.stream is not None and source.provenance == "official":
        dataset = sources.dataset_class(registry, ranked.dataset)(Path(source.root))
        sources.stream_samples(dataset, ranked.split, benchmark.stream.conditions, None)


def require_fitting(
    method: type[StreamMethod],
    settings: Settings,
    task: Task,
    dataset: type[Dataset],
    given: Given | None = None,
) -> None:
    """Raises UsageError where a method cannot adapt its network to images of the dataset's training size.

    The network, if none is ``given``, is built without memory for its weights.
    """
    width, height = input_size(dataset, settings.resolution, task.profile)
    if given is not None:
        given.require_fitting(method, method.adaptation(settings), task, (height, width))
        return
    before = method.stages(settings)[0]
    plain = before.settings.model_copy(update={"pretraining": "none"})
    with torch.device("meta"):
        network = before.method(task, plain).scored_network().eval()
    method.require_fitting(network, method.adaptation(settings), (height, width))
