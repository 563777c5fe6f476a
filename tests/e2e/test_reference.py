"""A plain run: what it leaves, stages shared between methods, mmengine hooks, threads, the oracle's tag."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from adaptbench.contracts.profiles import profile
from adaptbench.planning.plan import make_plan
from adaptbench.planning.request import Request

from .bench import ITERATIONS, Bench, weights


def test_job_folder_holds_what_is_promised(reference: Bench) -> None:
    folder = reference.folder("dacs")
    for name in ("job.json", "log.txt", "status", "metrics.jsonl", "record.json", "confusion", "stages"):
        assert (folder / name).exists(), name
    assert reference.status("dacs")["state"] == "done"
    assert reference.record("dacs")["smoke"] is True
    assert reference.record("dacs")["iterations"] == ITERATIONS
    assert not list(reference.out.rglob("*.tmp"))
    assert not list(reference.out.rglob("checkpoint.safetensors"))


def test_the_log_tells_what_a_job_did(reference: Bench) -> None:
    lines = (reference.folder("after_source") / "log.txt").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines)
    said = [line[20:] for line in lines]
    assert said[0] == "after_source on minicity/tiny, seed 0: begins"
    first = "first: done before, " if said[1].startswith("first: done before") else "first: begins"
    assert said[1].startswith(first)
    (second,) = (line for line in said if line.startswith("second: done"))
    assert re.fullmatch(
        rf"second: done, {ITERATIONS} of {ITERATIONS}, loss \d+\.\d{{4}}.*, \d+\.\d s", second
    )
    score = reference.record("after_source")["scores"][0]
    classes, split = score["class_set"], score["split"]
    assert f"score {split}: begins" in said
    assert said[-1] == f"{split}: mIoU {score['miou']:.2f} ({classes}, generated data)"


def test_first_stage_is_trained_once(reference: Bench) -> None:
    assert reference.stage("after_source", "first") == reference.stage("source_only")
    assert len(list((reference.out / "stages").iterdir())) == 5  # source_only, dacs, oracle, two second ones


def test_second_stage_starts_from_the_first(reference: Bench) -> None:
    """Few steps of the warm-up move weights less than other initial values differ. (Encoders start alike.)"""
    first, second, other = (
        weights(reference.stage(method, stage))
        for method, stage in (("after_source", "first"), ("after_source", "second"), ("dacs", "train"))
    )
    name = next(key for key, tensor in first.items() if tensor.ndim == 4 and "decode_head" in key)
    assert 0 < distance(first[name], second[name]) < 0.2 * distance(first[name], other[name])


def test_everything_that_starts_from_an_oracle_is_marked(reference: Bench) -> None:
    marked = {m: reference.record(m)["oracle"] for m in ("dacs", "after_source", "after_oracle")}
    assert marked == {"dacs": False, "after_source": False, "after_oracle": True}
    assert "oracle" not in reference.record("after_oracle")["tags"]


def test_mmengine_hook_sees_every_iteration(reference: Bench) -> None:
    notes = _witnessed(reference)
    points = ["before_train_iter", "after_train_iter"] * ITERATIONS
    assert [note["point"] for note in notes] == ["before_train", *points, "after_train"]
    steps = notes[1:-1]
    assert [note["iter"] for note in steps] == [note["batch_idx"] for note in steps]
    assert [note["iter"] for note in steps] == [i for i in range(ITERATIONS) for _ in range(2)]
    assert all(note["names"] for note in steps[::2])
    assert all("loss_seg" in note["outputs"] for note in steps[1::2])
    rates = [note["rate"] for note in steps[1::2]]
    settings = reference.record("after_source")["settings"]
    assert rates[0] == pytest.approx(settings["learning_rate"] * settings["warmup_start"])
    assert rates[1] > rates[0]
    assert notes[0]["max_iters"] == notes[-1]["iter"] == ITERATIONS


def test_threads_are_those_of_the_profile(reference: Bench) -> None:
    threads = profile("mini").threads
    assert _witnessed(reference)[0]["threads"] == threads


def test_finished_jobs_are_known_as_done(reference: Bench, monkeypatch: Any) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(reference.cache))
    request = Request(
        methods=("dacs",),
        benchmarks=("tiny",),
        out=reference.out,
        settings=("crop=64", "dacs.crop=128"),
        limit=ITERATIONS,
        device="cpu",
        plugins=reference.plugins,
    )
    (job,) = make_plan(request).jobs
    assert job.state == "done"
    assert Path(job.folder) == reference.folder("dacs")


def test_what_is_finished_makes_no_debug_images(reference: Bench) -> None:
    answer = reference.run("dacs", options=("--debug-images", "2"))
    assert answer.code == 0, answer.output
    assert "seed 0: none, since its training was in the store already" in answer.output
    assert not list(reference.out.rglob("debug"))


def test_the_record_tells_what_the_teacher_labelled(reference: Bench) -> None:
    found = reference.record("dacs")["pseudo_labels"]
    assert found["batches"] == 1
    assert sum(found["class_share"].values()) == pytest.approx(1, abs=1e-4)
    assert found["class_share"].keys() == found["confident_share"].keys()
    assert len(found["class_share"]) == 19
    assert 0 < found["pasted"] < 1
    assert reference.record("source_only")["pseudo_labels"] is None


def distance(left: Tensor, right: Tensor) -> float:
    return float((left - right).norm())


def _witnessed(reference: Bench) -> list[dict[str, Any]]:
    lines = (reference.stage("after_source", "second") / "witness.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
