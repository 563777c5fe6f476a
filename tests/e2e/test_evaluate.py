"""The networks of finished runs, scored again outside of their jobs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .bench import ITERATIONS, Bench, call


@pytest.mark.parametrize("method", ["dacs", "after_oracle"])
def test_a_run_keeps_its_score(reference: Bench, tmp_path: Path, method: str) -> None:
    """Same weights, images and rules: the very numbers of its record, and its marks."""
    folder = reference.folder(method)
    arguments = ["evaluate", str(folder), "--device", "cpu", "--benchmarks", "tiny"]
    arguments += ["--plugins", *map(str, reference.plugins)]
    arguments += ["--limit", str(ITERATIONS), "--out", str(tmp_path)]
    answer = call(arguments, reference.variables())
    assert answer.code == 0, answer.output
    (path,) = (tmp_path / "evaluations" / f"{method}-{folder.name}").glob("*.json")
    evaluation, record = json.loads(path.read_text()), reference.record(method)
    assert evaluation["score"] == record["scores"][0]
    assert evaluation["weights_sha256"] == record["weights_sha256"]
    assert (evaluation["oracle"], evaluation["smoke"]) == (record["oracle"], True)
    assert evaluation["oracle"] == (method == "after_oracle")
    matrices = f"confusion/{'-'.join(evaluation['score']['split'].split('/'))}.npz"
    assert path.with_suffix(".npz").read_bytes() == (folder / matrices).read_bytes()
