"""The networks of finished runs, scored again outside of their jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from .bench import ITERATIONS, PATIENCE_SECONDS, REPOSITORY, Bench


@pytest.mark.parametrize("method", ["dacs", "after_oracle"])
def test_a_run_keeps_its_score(reference: Bench, method: str) -> None:
    """Same weights, pictures and rules: the very numbers of its record, and its marks."""
    folder = reference.folder(method)
    command = [sys.executable, str(REPOSITORY / "run_all.py"), "evaluate", str(folder), "--device", "cpu"]
    command += ["--benchmarks", "tiny", "--plugins", *map(str, reference.plugins)]
    command += ["--limit", str(ITERATIONS), "--out", str(reference.out)]
    environment = {**os.environ, "ADAPTBENCH_CACHE": str(reference.cache)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (reference.out / "evaluations" / f"{method}-{folder.name}").glob("*.json")
    evaluation, record = json.loads(path.read_text()), reference.record(method)
    assert evaluation["score"] == record["scores"][0]
    assert evaluation["weights_sha256"] == record["weights_sha256"]
    assert (evaluation["oracle"], evaluation["smoke"]) == (record["oracle"], True)
    assert evaluation["oracle"] == (method == "after_oracle")
    matrices = f"confusion/{'-'.join(evaluation['score']['split'].split('/'))}.npz"
    assert path.with_suffix(".npz").read_bytes() == (folder / matrices).read_bytes()
