"""The same work on many things in several processes, which end with the one that asks."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, resource_tracker
from typing import Any, TypeVar

import cv2

from adaptbench import signals
from adaptbench.errors import RunStateError

Task = TypeVar("Task")
Result = TypeVar("Result")


def each(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    *,
    chunk: int = 1,
    start: Callable[..., None] | None = None,
    given: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """Results of ``work``, a function of a module, on every task, in their order.

    Closing the iterator, like any exception, kills the workers, whatever they are at.

    Args:
        work: what is done.
        tasks: with what.
        workers: processes.
        chunk: tasks that a worker is given at a time.
        start: called in every worker before its first task.
        given: its arguments.

    Raises:
        RunStateError: a worker was killed, or could not start.
    """
    # "spawn" costs a second but never inherits threads or locks of the process that asks.
    context = multiprocessing.get_context("spawn")
    resource_tracker.ensure_running()  # else starting it lets signals through
    pool, others = ProcessPoolExecutor(workers, context, _start, (start, given)), active_children()
    try:
        with signals.held():
            results = pool.map(work, tasks, chunksize=chunk)
        yield from results
    except BrokenProcessPool as error:
        raise RunStateError(
            f"One of {workers} worker processes ended without finishing. If it said nothing above, it was killed; "
            "out of memory is a common cause. Run again to go on."
        ) from error
    except BaseException:  # one that still starts would be waited for
        for process in set(active_children()).difference(others):
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start(start: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    if start is not None:
        start(*given)


def _end_with_parent() -> None:
    """Waits for the end of the process that asked: of one that was killed nobody else tells."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
