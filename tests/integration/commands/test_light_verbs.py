"""Verbs that neither train nor score import none of the packages that take seconds to import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adaptbench.cli import main
from adaptbench.contracts import plugins
from adaptbench.contracts.plugins import ROOT
from adaptbench.contracts.stand_ins import HEAVY

#: Exit status, output and errors by command line.
Answers = dict[str, list[Any]]
_METHODS = plugins.discover().plugins["method"].values()
#: Methods that adapt to a stream are skipped where there is none.
_FITTING = [method for method in _METHODS if "test-time" not in method.literals.get("tags", ())]
_ALL = f"{len(_FITTING)} of {len(_METHODS)} jobs to run"
#: Arguments, exit status, and what the verb says, in an empty folder.
VERBS = [
    ("--help", 0, "usage:"),
    ("ls", 0, "Methods"),
    ("doctor", 0, "CPU cores"),
    ("--dry-run", 0, _ALL),
    ("--dry-run --methods dcas", 2, "Did you mean 'dacs'"),
    ("--dry-run --study hrda/components", 0, "HRDA"),
    ("status --out .", 0, "0 jobs: none."),
    ("cancel --out .", 0, "Cancelled all jobs"),
    ("contribute .", 2, "neither the folder of a finished run nor"),
    ("merge nothing.zip", 2, "no such file"),
    ("merge empty.zip", 1, "rejected empty.zip"),
    ("submit --server cityscapes", 2, "Name an import (here: none)"),
    ("submit mine --server cityscapes", 2, "Unknown import or run 'mine'"),
    ("compare dacs daformer", 2, "There is no finished run here"),
    ("report", 0, "Leaderboard: results/leaderboards/leaderboard.md"),
]


PLANS = [
    "--benchmarks gta5_to_cityscapes gta5_dg minicity_to_camvid --seeds 0 1",
    "--study hrda/components --set learning_rate=0.01",
    "--networks deeplabv2-mini daformer-mini --protocol as-published:fada --limit 7 --checkpoint infomax",
]
MODULES = ("records.jobspec", "records.record", "records.found", "planning.request", "planning.estimates")
MODULES += ("planning.devices", "execution.launch.local")

#: Imports them where nothing heavy can be.
IMPORTS = "\n".join(f"import adaptbench.{module}" for module in MODULES)

#: Runs each command line in a fork of an interpreter that has imported the command line itself, what is light, and
#: what most verbs need of other packages.
FORKED = f"""
import json, os, sys
import cv2, filelock, numpy, PIL.Image, rich.console, rich.progress, rich.table, yaml
{IMPORTS}
from adaptbench.cli import main

def answer(arguments, number):
    for stream, suffix in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"../{{number}}.{{suffix}}", os.O_WRONLY | os.O_CREAT), stream)
    sys.argv = ["run_all.py", *arguments]
    try:
        status = main()
    except SystemExit as end:
        status = end.code
    sys.stdout.flush()
    os._exit(status or 0)

statuses = []
for number, arguments in enumerate(json.loads(sys.argv[1])):
    child = os.fork() or answer(arguments, number)
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(statuses))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty one to work in, and one in which all heavy packages cannot be imported."""
    root = tmp_path_factory.mktemp("light")
    for folder in ("heavy", "empty"):
        (root / folder).mkdir()
    for name in HEAVY:
        (root / "heavy" / f"{name}.py").write_text(f"raise SystemError('{name} is imported')\n")
    (root / "empty" / "empty.zip").touch()
    return root


def python(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in the empty folder, where importing a heavy package is an error."""
    path = os.pathsep.join((str(root / "heavy"), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": path, "ADAPTBENCH_CACHE": str(root / "cache")}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=root / "empty", env=environment)


@pytest.fixture(scope="module")
def answers(root: Path) -> Answers:
    """Exit status, output and errors of every command line."""
    asked = [*(verb for verb, _, _ in VERBS), *map(dry, PLANS)]
    done = python(root, "-c", FORKED, json.dumps([one.split() for one in asked]))
    assert done.returncode == 0, done.stderr
    texts = [
        [(root / f"{number}.{suffix}").read_text() for suffix in ("out", "err")]
        for number in range(len(asked))
    ]
    return {
        one: [status, *text] for one, status, text in zip(asked, json.loads(done.stdout), texts, strict=True)
    }


def dry(asked: str) -> str:
    return f"{asked} --device cpu --dry-run --out out"


@pytest.mark.parametrize(("arguments", "status", "said"), VERBS, ids=[verb for verb, _, _ in VERBS])
def test_without_heavy_packages(answers: Answers, arguments: str, status: int, said: str) -> None:
    returned, out, errors = answers[arguments]
    assert returned == status, errors
    assert said in out + errors


@pytest.mark.parametrize("asked", PLANS)
def test_a_plan_is_what_it_is_with_torch(
    answers: Answers,
    asked: str,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(root / "empty")
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(root / "cache"))
    status = main(dry(asked).split())
    shown = capsys.readouterr()
    assert answers[dry(asked)] == [status, shown.out, shown.err]


def test_modules_that_say_what_a_job_is(root: Path) -> None:
    done = python(root, "-c", IMPORTS)
    assert done.returncode == 0, done.stderr


def test_the_script_is_the_command(root: Path) -> None:
    done = python(root, str(ROOT / "run_all.py"), "status", "--out", ".")
    assert done.returncode == 0, done.stderr
    assert "0 jobs: none." in done.stdout
