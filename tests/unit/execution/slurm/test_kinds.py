"""Which job asks for what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_jobs import made_job as job

from adaptbench.contracts.resources import Resources
from adaptbench.execution.slurm.kinds import kinds_of
from adaptbench.planning.estimates import Estimate
from adaptbench.planning.plan import Job

#: 10 GB, with what is added to it 11.
TEN = Estimate(60.0, 10e9 / 2**20)


def sizes(
    *jobs: Job, costs: dict[str, Estimate | None] | None = None, **stated: Resources
) -> list[float | None]:
    """The size that each job is given, of 11, 24 and 80 GB."""
    known = {Path(name): cost for name, cost in (costs or {}).items()}
    kinds = kinds_of(jobs, (80, 11, 24), known, lambda name: stated.get(name, Resources()))
    return [next(kind.size for kind in kinds if one in kind.jobs) for one in jobs]


def test_the_smallest_size_that_holds_a_job() -> None:
    stated = {"a": Resources(memory=9.7), "b": Resources(memory=24), "c": Resources(memory=100)}
    assert sizes(job("a"), job("b"), job("c"), job("unknown"), **stated) == [11, 24, 80, 80]


def test_finished_runs_tell_more_than_the_paper() -> None:
    stated = Resources(memory=50)
    assert sizes(job("a"), costs={"a": TEN}, a=stated) == [11]
    more = Estimate(60.0, TEN.memory_mib + 1)
    assert sizes(job("a"), costs={"a": more}, a=stated) == [24]
    assert sizes(job("a"), costs={"a": Estimate(60.0, 1.0, elsewhere=True)}, a=stated) == [80]


@pytest.mark.parametrize("changed", [{"profile": "mini"}, {"overrides": {"crop": 64}}, {"device": "cpu"}])
def test_what_is_stated_is_so_for_published_settings(changed: dict[str, Any]) -> None:
    assert sizes(job("a", **changed), a=Resources(memory=9.7)) == [80]


def test_devices_of_the_command_and_of_the_method() -> None:
    def several(name: str) -> Resources:
        return Resources(gpus=4 if name == "large" else 1)

    jobs = [job("a", devices=2), job("large", devices=2), job("b", devices=2), job("large", compiled=True)]
    kinds = kinds_of(jobs, (), {}, several)
    assert [(kind.name, len(kind.jobs)) for kind in kinds] == [("2xcuda", 2), ("4xcuda", 1), ("1xcuda", 1)]


def test_names_say_what_is_asked_for() -> None:
    (kind,) = kinds_of([job("a")], (24,), {}, lambda _: Resources())
    assert (kind.name, kind.threads) == ("1xcuda-24gb", 8)
