"""Packages that are left out of what is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from adaptbench.imports import without


def test_a_package_is_not_there_for_a_while() -> None:
    sys.modules.pop("this", None)
    with without("this"), pytest.raises(ImportError):
        import this  # noqa: F401
    assert "this" not in sys.modules


def test_one_that_is_imported_stays() -> None:
    with without("subprocess"):
        import subprocess as found
    assert found is subprocess and sys.modules["subprocess"] is subprocess


def test_a_job_starts_without_packages_that_only_others_use(tmp_path: Path) -> None:
    code = (
        "import sys, adaptbench.execution.__main__ as start\n"
        "try: start._main(sys.argv[1])\n"
        "finally: print(sorted({'peft', 'transformers'} & set(sys.modules)))\n"
    )
    started = [sys.executable, "-c", code, str(tmp_path / "no-job")]
    shown = subprocess.run(started, capture_output=True, text=True, check=False)
    assert shown.stdout.strip() == "[]", shown.stderr
