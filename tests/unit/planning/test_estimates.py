"""Estimates are medians of finished jobs that did the same work, or there are none."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from adaptbench.planning.estimates import Estimate, Estimates, iterations_of
from adaptbench.planning.plan import make_plan
from adaptbench.planning.request import Request
from adaptbench.records.jobspec import DataSource, JobSpec
from adaptbench.records.record import Cost, NetworkInfo, Record, Score

MINI = "minicity/gta5_to_cityscapes"


def spec(method: str = "dacs", seed: int = 0, *settings: str, **request: Any) -> JobSpec:
    asked = {"methods": (method,), "seeds": (seed,), "settings": settings, "device": "cpu", **request}
    (job,) = make_plan(Request(out=Path("nowhere"), **asked)).jobs
    return job.spec


def finished(job: JobSpec, training: float = 100.0, memory: float = 700.0, **fields: Any) -> Record:
    """The record that ``job`` would leave; scoring took ten seconds."""
    score = Score(
        split="cityscapes/val",
        provenance="generated",
        class_set="x",
        images=1,
        miou=1.0,
        iou={},
        accuracy=1.0,
    )
    return Record(
        **{
            **job.model_dump(
                include={"job_hash", "ranking_hash", "group_hash", "ranking", "method", "profile"}
            ),
            **job.model_dump(include={"seed", "settings", "settings_origin", "overrides"}),
            "method_title": "",
            "method_version": 1,
            "paper": None,
            "tags": [],
            "oracle": False,
            "smoke": job.limit is not None,
            "benchmark": job.board,
            "benchmark_title": "",
            "setting": "uda",
            "network": NetworkInfo(name=str(job.settings["network"]), parameters=1, pretraining="none"),
            "iterations": 1,
            "data": {name: source.identity() for name, source in job.data.items()},
            "scores": [score],
            "weights_sha256": "",
            "cost": Cost(
                training_seconds=training,
                evaluation_seconds=10.0,
                peak_memory_mib=memory,
                device=job.device,
            ),
            "environment": {},
            **fields,
        }
    )


def test_other_seeds_give_the_median() -> None:
    records = [
        finished(spec(seed=1), 100.0, 700.0),
        finished(spec(seed=2), 300.0, 710.0),
        finished(spec(seed=3), 101.0, 900.0),
    ]
    assert Estimates(records).of(spec(seed=0)) == Estimate(111.0, 710.0)


def test_other_seeds_go_before_other_settings() -> None:
    other = [finished(spec("dacs", seed, "learning_rate=1.0"), 999.0) for seed in range(5)]
    assert Estimates([finished(spec(seed=1)), *other]).of(spec()) == Estimate(110.0, 700.0)


def test_the_same_benchmark_goes_before_others() -> None:
    elsewhere = [finished(spec(seed=s, benchmarks=("cityscapes_to_acdc",)), 999.0) for s in range(3)]
    here = finished(spec("dacs", 0, "learning_rate=1.0"))
    assert Estimates([*elsewhere, here]).of(spec()) == Estimate(110.0, 700.0)
    assert Estimates(elsewhere).of(spec()) == Estimate(1009.0, 700.0)


@pytest.mark.parametrize(
    "free", ["learning_rate=0.5", "pretraining=none", "warmup=7", "pseudo_threshold=0.9"]
)
def test_settings_that_cost_nothing(free: str) -> None:
    assert Estimates([finished(spec("dacs", 0, free))]).of(spec()) == Estimate(110.0, 700.0)


def test_training_time_is_in_proportion_to_the_iterations() -> None:
    half = finished(spec("dacs", 0, "iterations=500"))
    assert Estimates([half]).of(spec()) == Estimate(210.0, 700.0)


def test_iterations_of_all_stages_count() -> None:
    stages = {"iterations": 40, "source_iterations": 20, "source_schedule_iterations": 90, "warmup": 5}
    assert iterations_of({**stages, "tuning_iterations": None}) == 60


@pytest.mark.parametrize(
    "other",
    [
        ("crop=64",),
        ("batch_size=1",),
        ("resolution=0.5",),
        ("network=deeplabv2-multi-mini",),
        ("pseudo_threshold=0.0",),  # 0 may switch something off
    ],
)
def test_settings_that_decide_the_cost(other: tuple[str, ...]) -> None:
    assert Estimates([finished(spec("dacs", 0, *other))]).of(spec()) is None


def test_nothing_is_taken_from_other_work() -> None:
    on_gpu = spec().model_copy(update={"device": "cuda", "group_hash": "another"})
    real = spec().model_copy(update={"group_hash": "another", "data": {"gta5": _official()}})
    others = [spec("source_only"), spec(limit=10), on_gpu, real, _averaged()]
    assert Estimates([finished(job) for job in others]).of(spec()) is None
    assert Estimates([]).of(spec()) is None


def test_runs_of_others_came_from_other_machines() -> None:
    assert Estimates([finished(spec(seed=1), origin="submitted")]).of(spec()) is None


def test_nobody_knows_what_recomputing_activations_costs() -> None:
    assert Estimates([finished(spec(seed=1))]).of(spec(activation_checkpointing=True)) is None


def test_no_iterations_and_some_do_not_compare() -> None:
    none = finished(spec("dacs", 0, "iterations=0"), 0.0)
    assert Estimates([none]).of(spec()) is None
    assert Estimates([none]).of(spec("dacs", 1, "iterations=0")) == Estimate(10.0, 700.0)


def test_a_thousand_jobs_and_a_thousand_records() -> None:
    job = spec()
    record = finished(spec("dacs", 0, "learning_rate=0.5"))
    records = [record.model_copy(update={"group_hash": str(number)}) for number in range(1000)]
    wanted = [job.model_copy(update={"group_hash": f"new {number}"}) for number in range(1000)]
    before = time.process_time()
    estimates = Estimates(records)
    assert all(estimates.of(other) == Estimate(110.0, 700.0) for other in wanted)
    assert time.process_time() - before < 2.0


def _official() -> DataSource:
    return DataSource(root="/data", provenance="official", version="1")


def _averaged() -> JobSpec:
    """The same job, scored over several scales."""
    job = spec()
    ranking = {**job.ranking, "test_time_augmentation": "scales 0.7 and 1"}
    return job.model_copy(update={"group_hash": "another", "ranking": ranking})
