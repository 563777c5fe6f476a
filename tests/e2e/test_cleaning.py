"""--keep-weights and clean: what later stages need is there, and what was removed comes back with the same bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from adaptbench.cli import main

from .bench import PLUGINS, Bench


def test_what_is_removed_is_not_missed(
    bench: Callable[[str], Bench], capsys: pytest.CaptureFixture[str]
) -> None:
    made = replace(
        bench("cleaning"),
        plugins=(PLUGINS / "further.py", PLUGINS / "chained.py"),
        settings=("crop=64",),
        iterations=1,
    )
    keep = ("--keep-weights", "last")
    assert made.run("after_source", options=keep).code == 0
    first, second = (made.stage("after_source", name) / "weights.safetensors" for name in ("first", "second"))
    record, trained = made.record("after_source"), second.stat().st_mtime_ns
    assert not first.exists()

    # Its last network is there, and is all that a further split asks for.
    assert made.run("after_source", options=("--full", *keep)).code == 0
    both = made.record("after_source")
    assert [score["split"] for score in both["scores"]] == ["cityscapes/val", "gta5/heldout"]
    assert both["weights_sha256"] == record["weights_sha256"] and second.stat().st_mtime_ns == trained
    assert not first.exists()

    # A job that begins with the first stage trains it again.
    assert main(["clean", "--out", str(made.out), "--keep-weights", "none", "--yes"]) == 0
    assert not second.exists()
    answer = main(["export", str(made.folder("after_source")), "--out", str(made.out)])
    assert answer == 2 and "has no weights any more" in capsys.readouterr().err
    (made.folder("after_source") / "record.json").unlink()
    answer = made.run("after_source", options=("--full",))
    assert answer.code == 0, answer.output
    again = made.record("after_source")
    assert again["weights_sha256"] == record["weights_sha256"] and again["scores"] == both["scores"]
    assert first.exists() and second.exists()
