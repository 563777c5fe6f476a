"""Estimates are medians of finished jobs that did the same work, or there are none."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adaptbench.contracts.profiles import profile
from adaptbench.planning.estimates import (
    BoardEstimates,
    Estimate,
    Estimates,
    Total,
    expected_costs,
    iterations_of,
    total,
)
from adaptbench.planning.plan import Job, make_plan
from adaptbench.planning.request import Request
from adaptbench.records.jobspec import DataSource, JobSpec, State
from adaptbench.records.record import Cost, NetworkInfo, Record, Score

MINI = "minicity/gta5_to_cityscapes"
#: Of a main training of two images each.
ITERATIONS = (profile("mini").samples or 0) // 2


def planned(method: str = "dacs", seed: int = 0, *settings: str, **request: Any) -> Job:
    asked = {"methods": (method,), "seeds": (seed,), "settings": settings, "device": "cpu", **request}
    (job,) = make_plan(Request(out=Path("nowhere"), **asked)).jobs
    return job


def spec(method: str = "dacs", seed: int = 0, *settings: str, **request: Any) -> JobSpec:
    return planned(method, seed, *settings, **request).spec


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
    half = finished(spec("dacs", 0, f"iterations={ITERATIONS // 2}"))
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
        ("network=deeplabv2-multi-lite0",),
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


def test_several_devices_cost_something_else() -> None:
    alone = finished(spec(seed=1))
    together = alone.model_copy(update={"cost": alone.cost.model_copy(update={"devices": 2})})
    assert Estimates([alone]).of(spec(devices=2)) is None
    assert Estimates([together]).of(spec()) is None


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


def row(method: str = "dacs", overrides: str = "", **cells: str) -> dict[str, str]:
    """A row of a committed board: a main training in 100 seconds, and 10 seconds of scoring."""
    work = {"method": method, "network": "deeplabv2-lite0", "profile": "mini", "device": "cpu"}
    cost = {"training_seconds": "100.0", "evaluation_seconds": "10.0", "peak_memory_mib": "700.0"}
    about = {"benchmark": MINI, "ranked_split": "True", "iterations": str(ITERATIONS), "overrides": overrides}
    return {**work, **cost, **about, **cells}


def test_the_board_tells_what_no_finished_run_does() -> None:
    half = ITERATIONS // 2
    rows = [row(), row(training_seconds="300.0"), row(training_seconds="120.0", iterations=str(half))]
    assert BoardEstimates(rows).of(planned()) == Estimate(250.0, 700.0, elsewhere=True)
    assert BoardEstimates(rows[:1]).of(planned("dacs", 0, f"iterations={half}")) == Estimate(
        60.0, 700.0, True
    )


def test_the_board_counts_iterations_of_all_stages() -> None:
    fada = row("fada", iterations=str(6 * ITERATIONS))
    assert BoardEstimates([fada]).of(planned("fada")) == Estimate(60.0, 700.0, elsewhere=True)


def test_rows_of_the_same_benchmark_go_before_others() -> None:
    elsewhere = row(benchmark="minicity_to_camvid", training_seconds="900.0")
    assert BoardEstimates([elsewhere, row()]).of(planned()) == Estimate(110.0, 700.0, elsewhere=True)
    assert BoardEstimates([elsewhere]).of(planned()) == Estimate(910.0, 700.0, elsewhere=True)


@pytest.mark.parametrize(
    "other",
    [
        row("source_only"),
        row(network="daformer-lite0"),
        row(profile="paper"),
        row(device="cuda"),
        row(precision="bf16"),
        row(compiled="but for student.backbone"),
        row(accumulate="2"),
        row(overrides="crop=64"),
        row(overrides="network=deeplabv2-mini, scales=[0.5, 1.0]"),
        row(ranked_split="False"),
    ],
)
def test_rows_of_other_work_tell_nothing(other: dict[str, str]) -> None:
    assert BoardEstimates([other]).of(planned()) is None


@pytest.mark.parametrize(
    ("settings", "request_"),
    [
        (("crop=64",), {}),
        ((), {"limit": 10}),
        ((), {"precision": "bf16"}),
        ((), {"compiled": True}),
        ((), {"activation_checkpointing": True}),
        ((), {"devices": 2}),
        ((), {"checkpoint": "entropy"}),
    ],
)
def test_the_board_does_not_know_other_work(settings: tuple[str, ...], request_: dict[str, Any]) -> None:
    assert BoardEstimates([row()]).of(planned("dacs", 0, *settings, **request_)) is None


def test_finished_runs_go_before_the_board(tmp_path: Path) -> None:
    job, board = planned(), tmp_path / "mine" / "leaderboard.csv"
    board.parent.mkdir()
    board.write_text(",".join(row()) + "\n" + ",".join(row(training_seconds="90.0").values()) + "\n")
    assert expected_costs([job], tmp_path, tmp_path) == {job.folder: Estimate(100.0, 700.0, elsewhere=True)}
    folder = tmp_path / "runs" / MINI / "dacs" / "1-00000000"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(finished(spec(seed=1)).model_dump_json())
    assert expected_costs([job], tmp_path, tmp_path) == {job.folder: Estimate(110.0, 700.0)}
    assert expected_costs([replace(job, state=State.DONE)], tmp_path, tmp_path) == {}


def test_without_a_board_nothing_is_known(tmp_path: Path) -> None:
    job = planned()
    assert expected_costs([job], tmp_path, tmp_path) == {job.folder: None}


def test_the_sum_of_a_plan() -> None:
    hour, minute = Estimate(3600.0, 1.0), Estimate(60.0, 1.0, elsewhere=True)
    costs = {Path("a"): hour, Path("b"): minute, Path("c"): minute, Path("d"): None}
    assert total(costs, 2) == Total(jobs=4, unknown=1, elsewhere=2, in_a_row=3720.0, at_once=3600.0)
    assert total({Path("d"): None}) == Total(1, 1, 0, 0.0, 0.0)


def _official() -> DataSource:
    return DataSource(root="/data", provenance="official", version="1")


def _averaged() -> JobSpec:
    """The same job, scored over several scales."""
    job = spec()
    ranking = {**job.ranking, "test_time_augmentation": "scales 0.7 and 1"}
    return job.model_copy(update={"group_hash": "another", "ranking": ranking})
