"""--devices: the same job, trained by several processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from .bench import PLUGINS, Bench, weights


def test_two_devices_train_the_job_of_one(reference: Bench, bench: Callable[[str], Bench]) -> None:
    made = replace(bench("devices"), settings=("crop=64",))
    answer = made.run("source_only", options=("--devices", "2", "--debug-images", "3"))
    assert answer.code == 0, answer.output
    assert made.folder("source_only").name == reference.folder("source_only").name
    assert (
        made.record("source_only")["cost"]["devices"],
        reference.record("source_only")["cost"]["devices"],
    ) == (2, 1)
    found, expected = (_joined(weights(one.stage("source_only"))) for one in (made, reference))
    assert 0 < float((found - expected).norm() / expected.norm()) < 1e-4
    found_log, expected_log = (_metrics(one) for one in (made, reference))
    assert [line.keys() for line in found_log] == [line.keys() for line in expected_log]
    assert [line["loss"] for line in found_log] == pytest.approx(
        [line["loss"] for line in expected_log], 1e-3
    )
    assert (made.folder("source_only") / "log.txt").read_text().count("labels are out of reach") == 1
    assert sorted(path.name for path in (made.folder("source_only") / "debug").iterdir())[0] == "000000.png"


def _joined(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([tensors[name].double().flatten() for name in sorted(tensors)])


def _metrics(made: Bench) -> list[dict[str, Any]]:
    lines = (made.stage("source_only") / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_rank_that_is_killed_ends_the_job_with_its_reason(bench: Callable[[str], Bench]) -> None:
    made = bench("lost")
    made = replace(made, settings=("crop=64",), plugins=(*made.plugins, PLUGINS / "loses_a_rank.py"))
    answer = made.run("loses_a_rank", options=("--devices", "2"))
    assert answer.code == 1
    status = made.status("loses_a_rank")
    assert status["state"] == "failed"
    assert "killed by signal 9" in status["reason"]
    assert not made.processes()
    answer = made.run("loses_a_rank")  # goes on from the checkpoint, on one device
    assert answer.code == 0, answer.output
