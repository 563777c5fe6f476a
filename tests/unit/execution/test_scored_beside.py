"""Splits that are scored beside: found where they are, in no hash."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from adaptbench.contracts import plugins
from adaptbench.contracts.benchmark import Benchmark, SplitRef
from adaptbench.data import minicity
from adaptbench.planning.plan import Plan, make_plan
from adaptbench.planning.request import Request
from adaptbench.records.jobspec import State

GTA5_TO_CITYSCAPES: type[Benchmark] = plugins.load(plugins.discover().find("benchmark", "gta5_to_cityscapes"))


def planned(tmp_path: Path, benchmark: str = "gta5_to_cityscapes", **request: Any) -> Plan:
    methods = request.pop("methods", ("source_only",))
    return make_plan(Request(methods, (benchmark,), out=tmp_path, device="cpu", **request))


def test_they_are_in_no_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert planned(tmp_path).jobs[0].spec.also == {}
    before = planned(tmp_path, full=True).jobs[0].spec
    further = {"acdc/val", "dark_zurich/val", "bdd100k/val", "mapillary/validation"}
    assert set(before.also) == {"gta5/heldout", *further}
    monkeypatch.setattr(GTA5_TO_CITYSCAPES, "also", (SplitRef("acdc", "val"),))
    after = planned(tmp_path, full=True).jobs[0].spec
    assert set(after.also) == {"gta5/heldout", "acdc/val"}
    assert (after.job_hash, after.group_hash, after.ranking_hash) == (
        before.job_hash,
        before.group_hash,
        before.ranking_hash,
    )


def test_official_ones_are_taken_where_they_are_and_the_others_named(official: Path, tmp_path: Path) -> None:
    spec = minicity.WorldSpec(scale=0.06)
    world = minicity.ensure(spec, "acdc", {"val": 4}, cache=tmp_path / "cache", workers=1)
    shutil.copytree(world, official / "acdc")
    plan = planned(tmp_path, data="official", data_root=official)
    (job,) = plan.jobs
    assert {split: source.root for split, source in job.spec.also.items()} == {
        "acdc/val": str(official / "acdc")
    }
    (note,) = plan.notes
    assert "not there: dark_zurich/val, bdd100k/val, mapillary/validation" in note
    next((official / "acdc" / "gt").rglob("*_labelTrainIds.png")).unlink()
    assert planned(tmp_path, data="official", data_root=official).jobs[0].spec.also == {}


def test_the_oracle_is_skipped_where_the_target_has_no_labels(tmp_path: Path) -> None:
    plan = planned(tmp_path, "cityscapes_to_dark_zurich", methods=("source_only", "oracle"))
    states = {job.spec.method: job for job in plan.jobs}
    assert states["source_only"].state is State.PLANNED
    assert states["oracle"].state is State.SKIPPED
    assert "dark_zurich/train_night has none" in states["oracle"].reason
