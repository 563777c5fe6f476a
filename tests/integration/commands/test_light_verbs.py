"""Verbs that neither train nor score import none of the packages that take seconds to import."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adaptbench.cli import main
from adaptbench.contracts.plugins import ROOT
from adaptbench.contracts.stand_ins import HEAVY

Answer = subprocess.CompletedProcess[str]
#: Arguments, exit status, and what the verb says, in an empty folder.
VERBS = [
    ("--help", 0, "usage:"),
    ("ls", 0, "Methods"),
    ("doctor", 0, "CPU cores"),
    ("--dry-run", 0, "24 of 24 jobs to run"),
    ("--dry-run --methods dcas", 2, "Did you mean 'dacs'"),
    ("--dry-run --study hrda/components", 0, "HRDA"),
    ("contribute .", 2, "neither the folder of a finished run nor"),
    ("merge nothing.zip", 2, "no such file"),
    ("merge empty.zip", 1, "rejected empty.zip"),
    ("submit --server cityscapes", 2, "Name an import (here: none)"),
    ("submit mine --server cityscapes", 2, "Unknown import or run 'mine'"),
    ("compare dacs daformer", 2, "There is no finished run here"),
    ("report", 0, "Leaderboard: results/leaderboards/leaderboard.md"),
]


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., Answer]:
    """Runs Python in an empty folder, where importing a heavy package is an error."""
    heavy, empty = tmp_path / "heavy", tmp_path / "empty"
    heavy.mkdir()
    empty.mkdir()
    for name in HEAVY:
        (heavy / f"{name}.py").write_text(f"raise SystemError('{name} is imported')\n")
    (empty / "empty.zip").touch()
    path = os.pathsep.join((str(heavy), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": path, "ADAPTBENCH_CACHE": str(tmp_path / "cache")}

    def run(*arguments: str) -> Answer:
        command = [sys.executable, *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=empty, env=environment)

    return run


@pytest.mark.parametrize(("arguments", "status", "said"), VERBS, ids=[verb for verb, _, _ in VERBS])
def test_without_heavy_packages(
    python: Callable[..., Answer], arguments: str, status: int, said: str
) -> None:
    done = python(str(ROOT / "run_all.py"), *arguments.split())
    assert done.returncode == status, done.stderr
    assert said in done.stdout + done.stderr


@pytest.mark.parametrize(
    "asked",
    [
        "--benchmarks gta5_to_cityscapes gta5_dg minicity_to_camvid --seeds 0 1",
        "--study hrda/components --set learning_rate=0.01",
        "--networks deeplabv2-mini daformer-mini --protocol as-published:fada --limit 7 --checkpoint infomax",
    ],
)
def test_a_plan_is_what_it_is_with_torch(
    python: Callable[..., Answer], asked: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*asked.split(), "--device", "cpu", "--dry-run", "--out", str(tmp_path / "out")]
    light = python(str(ROOT / "run_all.py"), *arguments)
    assert main(arguments) == light.returncode
    shown = capsys.readouterr()
    assert (light.stdout, light.stderr) == (shown.out, shown.err)


def test_modules_that_say_what_a_job_is(python: Callable[..., Answer]) -> None:
    modules = ["records.jobspec", "records.record", "records.found", "planning.request", "planning.estimates"]
    modules += ["planning.devices", "execution.launch.local"]
    done = python("-c", "\n".join(f"import adaptbench.{module}" for module in modules))
    assert done.returncode == 0, done.stderr
