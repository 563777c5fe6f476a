"""Items that worker processes make are those of one process, in order, and so are its errors."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adaptbench.data import loading
from adaptbench.errors import DataError, RunStateError


class Squares:
    """Squares, made with trouble at 7."""

    def __init__(self, trouble: Callable[[], None] = lambda: None) -> None:
        self._trouble = trouble

    def __getitem__(self, number: int) -> int:
        if number == 7:
            self._trouble()
        return number * number


def _damaged() -> None:
    raise DataError("image 7 is damaged")


def _broken() -> None:
    raise RuntimeError("a fault of the code")


def _killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [0, 2])
def test_items_are_in_order(workers: int) -> None:
    assert list(loading.in_order(Squares(), range(3, 9), workers)) == [9, 16, 25, 36, 49, 64]


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_ours_come_at_their_place_and_in_their_words(workers: int) -> None:
    made = loading.in_order(Squares(_damaged), range(5, 9), workers)
    assert [next(made), next(made)] == [25, 36]
    with pytest.raises(DataError) as caught:
        next(made)
    assert str(caught.value) == "image 7 is damaged"


def test_a_killed_worker_is_named() -> None:
    with pytest.raises(
        RunStateError, match=r"One of 1 processes that load data was killed; .* fewer --workers"
    ):
        list(loading.in_order(Squares(_killed), range(7, 9), 1))


def test_errors_of_others_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="a fault of the code"):
        list(loading.in_order(Squares(_broken), range(7, 9), 1))


_LEFT_OPEN: list[Iterator[Any]] = []


@pytest.mark.parametrize("trouble", [_damaged, _broken, None], ids=["ours", "another", "never asked again"])
def test_a_process_ends_whose_workers_are_not_done(trouble: Callable[[], None] | None) -> None:
    def work() -> None:
        made = loading.in_order(Squares(trouble) if trouble else Squares(), range(6, 30), 2)
        _LEFT_OPEN.append(made)
        next(made)
        if trouble:
            with pytest.raises((DataError, RuntimeError)):
                next(made)
            assert not multiprocessing.active_children(), "an error ends the others, too"

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(20)
    ended = process.exitcode
    process.kill()
    assert ended == 0


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("tasks", [0, 1, 16, 33])
def test_work_on_every_task(workers: int, tasks: int) -> None:
    assert list(loading.each(str, range(tasks), workers)) == [str(task) for task in range(tasks)]
