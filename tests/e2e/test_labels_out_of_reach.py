"""Without any target label the training is the same, bit for bit; only the scoring is impossible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from .bench import ITERATIONS, SETTINGS, Bench, Ended, same_bytes


@pytest.fixture(scope="module")
def blind(bench: Callable[[str], Bench], unlabelled_cache: Path) -> tuple[Bench, Ended]:
    made = replace(bench("blind"), cache=unlabelled_cache, settings=SETTINGS)
    return made, made.run("source_only", "dacs")


@pytest.mark.parametrize("method", ["source_only", "dacs"])
def test_weights_do_not_depend_on_target_labels(
    blind: tuple[Bench, Ended], reference: Bench, method: str
) -> None:
    assert same_bytes(blind[0].stage(method), reference.stage(method), "weights.safetensors")


@pytest.mark.parametrize("method", ["source_only", "dacs"])
def test_scoring_counts_the_missing_labels(blind: tuple[Bench, Ended], method: str) -> None:
    made, answer = blind
    assert answer.code == 1
    status = made.status(method)
    assert status["state"] == "failed"
    count = 2 * ITERATIONS  # pictures of a smoke run
    assert f"cityscapes/val: {count} of {count} pictures" in status["reason"]
    assert "_gtFine_labelIds.png" in status["reason"]
    assert not (made.folder(method) / "record.json").exists()
