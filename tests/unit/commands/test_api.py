"""AdaptBench from Python: what is imported when, and what a frame holds."""

from __future__ import annotations

import subprocess
import sys

import pytest

import adaptbench
from adaptbench.errors import RunStateError, UsageError


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import adaptbench, sys; print(sorted({'torch', 'pandas', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_of_the_package() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'runs'"):
        adaptbench.runs  # noqa: B018


def test_a_folder_without_results(tmp_path: str) -> None:
    with pytest.raises(RunStateError, match="There is no finished job in the results folder"):
        adaptbench.load_results(tmp_path)


def test_wrong_keywords(tmp_path: str) -> None:
    with pytest.raises(UsageError, match="Unknown keyword 'seed'"):
        adaptbench.run(methods=["dacs"], seed=1, out=tmp_path)
    with pytest.raises(UsageError, match="Unknown method 'dax'"):
        adaptbench.run(methods=["dax"], out=tmp_path)
