"""The example of docs/python-api.md, on a smaller benchmark."""

from __future__ import annotations

import os
import re
import runpy
from pathlib import Path

import pytest
from forks import Fork, fork_jobs

import adaptbench

from .bench import PLUGINS, REPOSITORY

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _run(script: Path, cache: Path) -> int:
    """Runs a script in its folder; its jobs are forks."""
    os.chdir(script.parent)
    os.environ["ADAPTBENCH_CACHE"] = str(cache)
    with pytest.MonkeyPatch.context() as patch:
        fork_jobs(patch)
        runpy.run_path(str(script), run_name="__main__")
    return 0


def test_the_example_of_the_page(cache: Path, tmp_path: Path) -> None:
    (example,) = _BLOCK.findall((REPOSITORY / "docs" / "python-api.md").read_text(encoding="utf-8"))
    smaller = f'limit=6, benchmarks=["tiny"], plugins=[{str(PLUGINS / "tiny.py")!r}], device="cpu", '
    assert example.count("limit=6, ") == 1
    (tmp_path / "example.py").write_text(example.replace("limit=6, ", smaller))
    said = tmp_path / "said.txt"
    code = Fork(lambda: _run(tmp_path / "example.py", cache), said).wait()
    assert code == 0, said.read_text()
    assert "iou:traffic light" in said.read_text()

    results = adaptbench.load_results(tmp_path / "smoke")
    (row,) = results[results["ranked"]].to_dict("records")
    assert (row["method"], row["benchmark"], row["seed"], row["smoke"]) == (
        "source_only",
        "minicity/tiny",
        0,
        True,
    )
    assert (row["class_set"], row["split"]) == ("cityscapes19", "cityscapes/val")
    present = results.filter(like="iou:").loc[results["ranked"]].iloc[0].dropna()
    assert row["miou"] == pytest.approx(present.mean())
    assert len(row["job_hash"]) == len(row["ranking_hash"]) == 16
    assert row["training_seconds"] > 0
