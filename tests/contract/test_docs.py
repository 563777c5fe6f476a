"""The examples of docs/ do what the pages say. (They also go through all other tests of this folder.)"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from adaptbench import plugins

from . import found

MINENT, WARM_START, STUDY = "my_minent", "my_warm_start", "my_study.py"


def test_the_pages_hold_the_examples() -> None:
    names = {path.name for path in found.example_folder().iterdir()}
    assert names >= {f"{MINENT}.py", f"{WARM_START}.py", "my_city.py", "gta5_to_my_city.py", STUDY}
    assert len((found.example_folder() / f"{MINENT}.py").read_text().splitlines()) < 60


def test_all_examples_run_together(my_city: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(plugins.ROOT / "run_all.py"),
        "--methods",
        MINENT,
        WARM_START,
        "--limit",
        "2",
    ]
    command += ["--benchmarks", "gta5_to_my_city", "--plugins", *map(str, found.examples())]
    command += ["--data-path", f"my_city={my_city}", "--out", str(tmp_path / "out"), "--device", "cpu"]
    environment = {**os.environ, "ADAPTBENCH_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    records = sorted((tmp_path / "out" / "runs").rglob("record.json"))
    found_records = {record["method"]: record for record in (json.loads(p.read_text()) for p in records)}
    assert found_records.keys() == {MINENT, WARM_START}
    assert all(record["smoke"] for record in found_records.values())
    stages = [p.name for p in (tmp_path / "out" / "runs").rglob("stages/*")]
    assert sorted(stages) == ["adapt", "source", "train"]
