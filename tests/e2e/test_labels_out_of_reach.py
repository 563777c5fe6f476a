"""Without any target label, and with debug images, the training is the same, bit for bit; the scoring fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from .bench import ITERATIONS, PLUGINS, SETTINGS, Bench, Ended, same_bytes


@pytest.fixture(scope="module")
def blind(bench: Callable[[str], Bench], unlabelled_cache: Path) -> tuple[Bench, Ended]:
    made = replace(bench("blind"), cache=unlabelled_cache, settings=SETTINGS)
    made = replace(made, plugins=(*made.plugins, PLUGINS / "chained.py"))
    return made, made.run("source_only", "dacs", "after_source", options=("--debug-images", "4"))


@pytest.mark.parametrize("method", ["source_only", "dacs"])
def test_weights_do_not_depend_on_target_labels(
    blind: tuple[Bench, Ended], reference: Bench, method: str
) -> None:
    stage, expected = blind[0].stage(method), reference.stage(method)
    assert stage.name == expected.name
    assert same_bytes(stage, expected, "weights.safetensors")
    assert same_bytes(stage, expected, "metrics.jsonl")


def test_debug_images_are_made_without_target_labels(blind: tuple[Bench, Ended], reference: Bench) -> None:
    made, answer = blind
    folder = made.folder("dacs") / "debug"
    assert sorted(path.name for path in folder.iterdir()) == ["000000.png", "000004.png", "000005.png"]
    assert f"debug images of dacs · minicity/tiny · seed 0: {folder}" in answer.output
    assert len(list((made.folder("after_source") / "debug" / "second").iterdir())) == 3
    assert not list(reference.out.rglob("debug")), "off by default"


@pytest.mark.parametrize("method", ["source_only", "dacs"])
def test_scoring_counts_the_missing_labels(blind: tuple[Bench, Ended], method: str) -> None:
    made, answer = blind
    assert answer.code == 1
    status = made.status(method)
    assert status["state"] == "failed"
    assert f"cityscapes/val: {ITERATIONS} of {ITERATIONS} images" in status["reason"]
    assert "_gtFine_labelIds.png" in status["reason"]
    assert not (made.folder(method) / "record.json").exists()
