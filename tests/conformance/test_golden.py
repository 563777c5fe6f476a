"""Every recorded case is recomputed and compared. See `handlers` for what is computed for which kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .case import Case
from .discovery import CaseFile, DiscoveryError, discover
from .runner import open_case, run_case

COPIED = Path(__file__).parent / "cases"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case_file" not in metafunc.fixturenames:
        return
    golden, words = metafunc.config.getoption("--golden", None), metafunc.config.getoption("--kinds", None)
    root = metafunc.config.invocation_params.dir / golden if golden else COPIED
    kinds = [kind for word in words for kind in word.split(",") if kind] if words else None
    files: list[CaseFile | DiscoveryError]
    try:
        files = [*discover(root, kinds)]
    except DiscoveryError as error:
        files = [error]
    metafunc.parametrize("case_file", files, ids=[getattr(file, "name", "discovery") for file in files])


def test_case(case_file: CaseFile | DiscoveryError, record_property: Callable[[str, object], None]) -> None:
    if isinstance(case_file, DiscoveryError):
        pytest.fail(str(case_file), pytrace=False)
    case, result = None, "no handler"
    try:
        case = open_case(case_file)
        result = "FAILED"
        run_case(case)
        result = "passed"
    finally:
        record_property("conformance", _row(case_file, case, result))


def _row(file: CaseFile, case: Case | None, result: str) -> tuple[str, ...]:
    worst = case.worst if case else None
    if worst is None:
        return file.name, result, "", "", ""
    return file.name, result, f"{worst.error:.2e}", str(worst.tolerance), worst.name
