"""--full: a finished job is scored on further splits, and nothing of it is trained again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .bench import PLUGINS, Bench


def test_a_finished_job_is_only_scored_again(bench: Callable[[str], Bench]) -> None:
    made = replace(bench("further"), plugins=(PLUGINS / "further.py",), settings=("crop=64",), iterations=1)
    assert made.run("source_only").code == 0
    first, weights = made.record("source_only"), made.stage("source_only") / "weights.safetensors"
    trained = weights.stat().st_mtime_ns
    assert [score["split"] for score in first["scores"]] == ["cityscapes/val"]

    assert made.run("source_only", options=("--full",)).code == 0
    both = made.record("source_only")
    assert [score["split"] for score in both["scores"]] == ["cityscapes/val", "gta5/heldout"]
    assert both["scores"][0] == first["scores"][0] and both["job_hash"] == first["job_hash"]
    assert both["weights_sha256"] == first["weights_sha256"] and weights.stat().st_mtime_ns == trained
    assert (made.folder("source_only") / "confusion" / "gta5-heldout.npz").exists()

    record = made.folder("source_only") / "record.json"
    written = record.stat().st_mtime_ns
    for options in ((), ("--full",)):
        assert made.run("source_only", options=options).code == 0
        assert record.stat().st_mtime_ns == written, "what is scored stays"
