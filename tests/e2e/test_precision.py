"""--precision and --compile: other trainings of the same method, beside the usual one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from adaptbench.training import compilation

from .bench import Bench, read_json


def test_mixed_precision_and_steps_in_parts_are_other_jobs(bench: Callable[[str], Bench]) -> None:
    made = replace(bench("precision"), settings=("crop=64",), iterations=1)
    for options in ((), ("--precision", "bf16"), ("--accumulate", "2")):
        answer = made.run("source_only", options=options)
        assert answer.code == 0, answer.output
    folders = (made.out / "runs" / "minicity" / "tiny" / "source_only").iterdir()
    found = [read_json(folder / "record.json") for folder in folders]
    records = {(record["precision"], record["accumulate"]): record for record in found}
    assert records.keys() == {("float32", 1), ("bf16", 1), ("float32", 2)}
    assert len({record["weights_sha256"] for record in records.values()}) == 3
    assert len({record["ranking_hash"] for record in records.values()}) == 1
    board = (made.out / "leaderboards" / "leaderboard.md").read_text()
    assert "source_only (bf16, whole steps)" in board and "source_only (float32, steps in 2 parts)" in board


def test_a_compiled_training_is_another_job(
    bench: Callable[[str], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a compiler it goes on, and says so; a backend that changes nothing gives the same bits."""
    made = replace(bench("compiled"), settings=("crop=64",), iterations=1)
    backends = {"usual": "", "eager": "eager", "missing": "no such backend"}
    found = {}
    for name, backend in backends.items():
        monkeypatch.setattr(compilation, "BACKEND", backend)
        one = replace(made, out=made.out / name)
        answer = one.run("source_only", options=("--compile",) if backend else ())
        assert answer.code == 0, answer.output
        found[name] = one
    records = {name: one.record("source_only") for name, one in found.items()}
    parts = ["student.backbone", "student.decode_head"]
    assert records["usual"]["compilation"] is None
    assert records["eager"]["compilation"] == {"compiled": parts, "uncompiled": []}
    assert records["missing"]["compilation"] == {"compiled": [], "uncompiled": parts}
    assert records["usual"]["job_hash"] != records["eager"]["job_hash"] == records["missing"]["job_hash"]
    assert records["eager"]["weights_sha256"] == records["missing"]["weights_sha256"]
    log = (found["missing"].folder("source_only") / "log.txt").read_text()
    assert log.count("is trained uncompiled: ") == 2 and "student.backbone is trained" in log
    stages = {
        name: json.loads((one.stage("source_only") / "stage.json").read_text()) for name, one in found.items()
    }
    assert "compiled" not in stages["usual"] and stages["eager"] == {**stages["usual"], "compiled": True}
    board = (found["missing"].out / "leaderboards" / "leaderboard.md").read_text()
    assert "| compiled" in board
