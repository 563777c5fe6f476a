"""What the record says about pseudo-labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adaptbench.records.pseudo_labels import summarise
from adaptbench.records.record import Record, load_record, save_record

CLASSES = ("road", "sky", "train")


def log(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def line(iteration: int, share: list[float], confident: list[float], **more: float) -> dict[str, Any]:
    vectors = {"pseudo.class_share": share, "pseudo.confident_class_share": confident}
    return {"iteration": iteration, **vectors, **more}


def test_means_over_the_last_tenth(tmp_path: Path) -> None:
    path = log(
        tmp_path / "metrics.jsonl",
        line(80, [0.0, 0.0, 1.0], [0.0, 0.0, 1.0], **{"mix.pasted": 1.0}),
        line(90, [0.75, 0.25, 0.0], [0.5, 0.0, 0.0], **{"mix.pasted": 0.25}),
        line(99, [0.25, 0.75, 0.0], [0.25, 0.25, 0.0], **{"mix.pasted": 0.5}),
    )
    found = summarise(path, 100, CLASSES)
    assert found is not None
    assert found.batches == 2
    assert found.confidence == 0.5
    assert found.pasted == 0.375
    assert found.class_share == {"road": 0.5, "sky": 0.5, "train": 0.0}
    assert found.confident_share == {"road": 0.75, "sky": 0.25, "train": None}
    assert sum(found.class_share.values()) == pytest.approx(1)


def test_without_mixing_nothing_is_pasted(tmp_path: Path) -> None:
    found = summarise(log(tmp_path / "m", line(0, [1.0, 0.0, 0.0], [1.0, 0.0, 0.0])), 1, CLASSES)
    assert found is not None
    assert found.pasted is None


def test_other_trainings_have_none(tmp_path: Path) -> None:
    assert summarise(tmp_path / "gone", 10, CLASSES) is None
    assert summarise(log(tmp_path / "m", {"iteration": 9, "mix.confidence": 0.5}), 10, CLASSES) is None


def test_a_record_of_version_1_has_none(record: Callable[..., Record], tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    save_record(record(), path)
    old = json.loads(path.read_text())
    del old["pseudo_labels"], old["digest"]
    path.write_text(json.dumps({**old, "schema_version": 1}))
    assert load_record(path).pseudo_labels is None


def test_a_record_keeps_them(record: Callable[..., Record], tmp_path: Path) -> None:
    found = summarise(log(tmp_path / "m", line(0, [0.5, 0.5, 0.0], [0.5, 0.0, 0.0])), 1, CLASSES)
    kept = record(pseudo_labels=found)
    save_record(kept, tmp_path / "record.json")
    assert load_record(tmp_path / "record.json") == kept
