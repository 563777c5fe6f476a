"""Images and labels that threads read ahead of the network, in order and no more than it needs to be kept busy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from adaptbench.data import firewall

Task = TypeVar("Task")
Result = TypeVar("Result")


def read_ahead(
    read: Callable[[Task], Result], tasks: Sequence[Task], threads: int
) -> Generator[Result, None, None]:
    """Results of ``read`` on every task, in order; with threads, up to one more than those is read before it is due.

    Decoders of images let other threads compute meanwhile. Threads stand outside of `firewall.closed`, so that they
    can read labels while code of a method runs: none of it may run in ``read``. They end before the iterator does.

    Raises:
        Exception: what reading a task raises, when its turn comes.
    """
    if threads == 0:
        yield from map(read, tasks)
        return
    due: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, "reading", firewall.stand_outside) as pool:
        try:
            for task in tasks:
                due.append(pool.submit(read, task))
                if len(due) > threads:
                    yield due.popleft().result()
            while due:
                yield due.popleft().result()
        finally:
            for one in due:
                one.cancel()
