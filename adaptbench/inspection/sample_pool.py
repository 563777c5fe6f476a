"""The same work on every sample of a dataset, in several processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.plugins import Plugin
from adaptbench.data import workers as processes

Result = TypeVar("Result")

#: In a worker: the dataset, opened once.
_opened: list[Dataset] = []
#: Samples that a worker is given at a time: enough to hide the messages, few enough for a bar that moves.
_CHUNK = 8


def each_sample(
    plugin: Plugin,
    root: Path,
    samples: Sequence[Sample],
    work: Callable[[Dataset, Sample], Result],
    workers: int | None = None,
) -> Generator[Result, None, None]:
    """Results of ``work``, a function of a module, on every sample, in the order of the samples.

    Workers open the dataset themselves, one per core by default; a single one stays in this process.
    """
    workers = min(workers or len(os.sched_getaffinity(0)), max(1, len(samples) // _CHUNK))
    if workers == 1:
        dataset = _open(plugin, root)
        yield from (work(dataset, sample) for sample in samples)
        return
    yield from processes.each(
        partial(_apply, work), samples, workers, chunk=_CHUNK, start=_start, given=(plugin, root)
    )


def _open(plugin: Plugin, root: Path) -> Dataset:
    dataset: Dataset = plugins.load(plugin)(root)
    return dataset


def _start(plugin: Plugin, root: Path) -> None:
    _opened.append(_open(plugin, root))


def _apply(work: Callable[[Dataset, Sample], Result], sample: Sample) -> Result:
    return work(_opened[0], sample)
