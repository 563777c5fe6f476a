"""Options of the conformance runner, the rule that nothing is skipped, and the table at the end."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

_ROW = "conformance"
_HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption(
        "--golden", metavar="DIR", help="run every recorded case below DIR instead of the copied ones"
    )
    group.addoption(
        "--kinds",
        nargs="+",
        metavar="KIND",
        help="run only cases whose names start with one of these (words or a comma list; put it last)",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report, item)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_skip(report, collector)
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    rows = [row for report in reports for key, row in report.user_properties if key == _ROW]
    if not rows:
        return
    table = [("case", "result", "largest error", "tolerance", "of array"), *sorted(rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    terminalreporter.section("conformance")
    for row in table:
        terminalreporter.write_line(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _forbid_skip(
    report: pytest.TestReport | pytest.CollectReport, node: pytest.Item | pytest.Collector
) -> None:
    """With --golden, a skipped (or expected to fail) test of this folder is a failure."""
    if report.outcome == "skipped" and node.config.getoption("--golden", None) and _HERE in node.path.parents:
        report.outcome = "failed"
        report.longrepr = f"{node.nodeid}: skipped, which counts as failed with --golden ({report.longrepr})"
        vars(report).pop("wasxfail", None)
