from __future__ import annotations

import pytest

from adaptbench.contracts.profiles import profile
from adaptbench.execution.launch.machine import Machine, gpu_names, least_busy, machine_for

MINI, PAPER = profile("mini").threads, profile("paper").threads


@pytest.mark.parametrize(
    ("cores", "gpus", "threads", "room"),
    [
        (12, 0, 1, 12),
        (12, 0, 8, 1),
        (4, 0, 8, 1),  # a job that is too large for the machine is run nevertheless
        (64, 1, 8, 1),
        (64, 4, 8, 4),
        (16, 4, 8, 2),  # the cores are what is scarce
        (4, 4, 8, 1),
    ],
)
def test_as_many_jobs_as_fit(cores: int, gpus: int, threads: int, room: int) -> None:
    assert Machine(cores, tuple(map(str, range(gpus)))).room(threads) == room


@pytest.mark.parametrize(
    ("name", "cores", "gpus", "jobs", "workers"),
    [
        ("mini", 2, 0, 1, 0),  # its images stay in memory: nobody wants any
        ("mini", 64, 1, 1, 0),
        ("small", 2, 0, 2, 0),  # both cores train
        ("small", 2, 0, 1, 1),
        ("small", 12, 0, 3, 2),
        ("paper", 8, 0, 1, 0),
        ("paper", 12, 0, 1, 4),
        ("paper", 64, 0, 1, 8),
        ("paper", 16, 1, 1, 8),
        ("paper", 16, 4, 4, 3),
        ("paper", 2, 1, 1, 1),
        ("paper", 1, 1, 1, 1),  # a GPU that trains leaves the only core time
        ("paper", 4, 1, 8, 1),
    ],
)
def test_cores_that_are_idle_load_data(name: str, cores: int, gpus: int, jobs: int, workers: int) -> None:
    chosen = profile(name)
    machine = Machine(cores, tuple(map(str, range(gpus))))
    assert machine.workers(chosen.workers, jobs, chosen.threads) == workers


def test_jobs_on_the_cpu_may_use_the_cores_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(12)))
    assert machine_for("cpu") == Machine(12)
    assert (machine_for("cpu").room(MINI), machine_for("cpu").room(PAPER)) == (12, 1)


def test_jobs_on_gpus_may_use_those_that_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    monkeypatch.setattr("adaptbench.planning.devices.gpus", lambda: ("A", "B"))
    assert machine_for("cuda").gpus == ("3", "1")


@pytest.mark.parametrize(
    ("visible", "count", "names"),
    [
        (None, 3, ("0", "1", "2")),
        (None, 0, ()),
        ("", 0, ()),
        ("2,0", 2, ("2", "0")),
        (" GPU-aa , GPU-bb ", 2, ("GPU-aa", "GPU-bb")),
        ("1,-1,2", 1, ("1",)),  # CUDA stops at the first name that is none
    ],
)
def test_names_of_gpus(visible: str | None, count: int, names: tuple[str, ...]) -> None:
    assert gpu_names(visible, count) == names


def test_jobs_are_spread_over_gpus() -> None:
    taken: list[str | None] = []
    for _ in range(5):
        taken.append(least_busy(("4", "7"), taken))
    assert taken == ["4", "7", "4", "7", "4"]
    assert least_busy(("4", "7"), ["4", "4", "7"]) == "7"


@pytest.mark.parametrize("gpus", [(), ("0",)])
def test_nothing_is_set_where_there_is_no_choice(gpus: tuple[str, ...]) -> None:
    assert least_busy(gpus, []) is None


@pytest.mark.parametrize(
    ("machine", "jobs", "threads", "said"),
    [
        (Machine(2), 2, 1, ()),
        (Machine(2), 1, 8, ()),
        (Machine(2), 3, 1, ("3 jobs", "1 thread each", "2 cores", "--jobs 2 ")),
        (Machine(16), 4, 8, ("4 jobs", "8 threads each", "16 cores", "--jobs 2 ")),
        (Machine(64, ("0",)), 2, 8, ("1 GPU and 64 cores", "--jobs 1 ")),
        (Machine(64, ("0", "1")), 2, 8, ()),
    ],
)
def test_too_many_jobs_are_warned_of(
    machine: Machine, jobs: int, threads: int, said: tuple[str, ...]
) -> None:
    warning = machine.warning(jobs, threads)
    assert bool(warning) == bool(said)
    assert all(part in warning for part in said), warning
