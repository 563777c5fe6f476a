"""Items of a dataset made ahead by worker processes, around which the walls of this process stand as well.

Workers are forked where the system forks, so that they inherit the label firewall and what a stream has prepared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar, cast

import cv2
from torch.utils.data import DataLoader, Dataset

from adaptbench import signals
from adaptbench.errors import AdaptBenchError, RunStateError

Made = TypeVar("Made")
Made_co = TypeVar("Made_co", covariant=True)
Task = TypeVar("Task")

#: Tasks that a worker is given at a time: enough to hide the messages, few enough for a log that moves.
_CHUNK = 16
#: How torch's words begin for a worker that is gone.
_GONE = "DataLoader worker (pid"


class Items(Protocol[Made_co]):
    """What makes items by their number."""

    def __getitem__(self, number: int, /) -> Made_co:
        """One of them."""


def in_order(
    items: Items[Made], numbers: range, workers: int, *, ahead: int = 2, pinned: bool = False
) -> Iterator[Made]:
    """The items with these numbers, in order, made by so many processes, or by this one if there are none.

    Args:
        items: what makes them.
        numbers: of which items.
        workers: processes.
        ahead: items that each of them makes before they are asked for.
        pinned: whether what can be pinned lies in memory that a GPU copies from while the CPU goes on.

    Raises:
        RunStateError: a worker was killed.
        AdaptBenchError: as making an item raises it, in whatever process.
    """
    if workers == 0:
        made = (items[number] for number in numbers)
        yield from (cast("Any", item).pin_memory() for item in made) if pinned else made
        return
    cv2.setNumThreads(0)  # its threads do not survive a fork: workers would wait for them
    with signals.held():  # else one sent to the whole job kills its workers, and it fails instead of saving
        loaded: Any = iter(
            DataLoader(
                _Telling(items),
                batch_size=None,
                sampler=numbers,
                num_workers=workers,
                prefetch_factor=ahead,
                pin_memory=pinned,
                collate_fn=_as_it_is,
                worker_init_fn=partial(_obey, os.getpid()),
            )
        )
    try:
        yield from map(_told, loaded)
    except RuntimeError as error:
        if not str(error).startswith(_GONE):
            raise
        raise RunStateError(
            f"One of {workers} processes that load data was killed; out of memory is a common cause: fewer --workers "
            f"need less. Run again to go on. ({error})"
        ) from error
    finally:  # by itself it does so when nothing refers to it any more: an error's traceback does, maybe to the end
        loaded._shutdown_workers()


def each(work: Callable[[Task], Made], tasks: Sequence[Task], workers: int) -> Iterator[Made]:
    """Results of ``work`` on every task, in order; otherwise as `in_order`."""
    chunks = _Chunks(work, tasks)
    return chain.from_iterable(in_order(chunks, range(-(-len(tasks) // _CHUNK)), workers))


@dataclass(frozen=True)
class _Chunks(Generic[Task, Made]):
    work: Callable[[Task], Made]
    tasks: Sequence[Task]

    def __getitem__(self, number: int) -> list[Made]:
        return [self.work(task) for task in self.tasks[number * _CHUNK : (number + 1) * _CHUNK]]


class _Telling(Dataset[Any]):
    """Items, or our error in the place of one: torch would bury its words in a traceback."""

    def __init__(self, items: Items[Any]) -> None:
        self._items = items

    def __getitem__(self, number: int) -> Any:
        try:
            return self._items[number]
        except AdaptBenchError as error:
            return error


def _told(item: Made | AdaptBenchError) -> Made:
    if isinstance(item, AdaptBenchError):
        raise item
    return item


def _obey(parent: int, _: int) -> None:
    """Iterators that are never closed have their workers stopped at the end of the process."""
    signals.obey(parent)


def _as_it_is(item: Made) -> Made:
    return item
