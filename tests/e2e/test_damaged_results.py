"""Stored results that were changed on disk: a clear message and its way out, and never another number."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from .bench import PLUGINS, Bench, call, without_circumstances


@pytest.fixture(scope="module")
def finished(bench: Callable[[str], Bench]) -> Bench:
    """A job of two stages."""
    made = replace(bench("damaged-results"), settings=("crop=64",), iterations=2)
    made = replace(made, plugins=(*made.plugins, PLUGINS / "chained.py"))
    answer = made.run("after_source")
    assert answer.code == 0, answer.output
    return made


def flip(path: Path) -> Path:
    """Changes a byte near the end of a file: in a number, and nowhere in its structure."""
    real = path.resolve()
    data = bytearray(real.read_bytes())
    data[-40] ^= 1
    real.write_bytes(data)
    return real


@pytest.mark.parametrize("stage", ["first", "second"])
def test_changed_weights_are_named_and_made_anew_when_they_are_deleted(stage: str, finished: Bench) -> None:
    before = finished.record("after_source")
    (finished.folder("after_source") / "record.json").unlink()
    if stage == "first":  # which is read only where the second is trained
        (finished.stage("after_source", "second") / "result.json").unlink()
    weights = flip(finished.stage("after_source", stage) / "weights.safetensors")
    answer = finished.run("after_source")
    assert answer.code == 1
    reason = str(finished.status("after_source")["reason"])
    assert f"{weights} was changed after it had been written. Delete it and run again" in reason
    weights.unlink()
    answer = finished.run("after_source")
    assert answer.code == 0, answer.output
    assert without_circumstances(finished.record("after_source")) == without_circumstances(before)


def test_a_changed_log_of_a_training_is_named(finished: Bench) -> None:
    """Records say of pseudo-labels what was logged, and the page draws it."""
    (finished.folder("after_source") / "record.json").unlink()
    log = flip(finished.stage("after_source", "second") / "metrics.jsonl")
    answer = finished.run("after_source")
    assert answer.code == 1
    reason = str(finished.status("after_source")["reason"])
    assert f"{log} was changed after it had been written. Delete the folder {log.parent} to train" in reason
    shutil.rmtree(log.parent)
    answer = finished.run("after_source")
    assert answer.code == 0, answer.output


def test_a_changed_byte_of_a_generated_image_stops_the_job(finished: Bench, tmp_path: Path) -> None:
    shutil.copytree(finished.cache, tmp_path / "cache")
    bench = replace(finished, out=tmp_path / "out", cache=tmp_path / "cache")
    for image in bench.cache.glob("minicity/gta5-*/images/00001.png"):
        shutil.copy(image.with_name("00002.png"), image)  # whole, and another one
    answer = bench.run("source_only")
    assert answer.code == 1
    reason = str(bench.status("source_only")["reason"])
    assert "/images/00001.png is not what was generated. Delete the folder " in reason
    assert reason.endswith(" and run again: it is generated anew.")


def test_a_changed_record_is_named_by_ls_and_report(finished: Bench) -> None:
    path = finished.folder("after_source") / "record.json"
    before = path.read_text()
    changed = before.replace('"seed": 0', '"seed": 7')
    assert changed != before
    path.write_text(changed)
    for verb in (["ls", "runs"], ["report"]):
        answer = call([*verb, "--out", str(finished.out)], finished.variables())
        assert answer.code == 0
        assert "record.jsonwaschangedafterithadbeenwritten.Deleteitsfolder" in "".join(answer.output.split())
    path.write_text(before)
