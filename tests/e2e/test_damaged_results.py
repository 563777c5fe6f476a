"""Stored results that were changed on disk: a clear message and its way out, and never another number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from .bench import PLUGINS, Bench, without_circumstances


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
