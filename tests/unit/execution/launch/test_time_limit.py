from __future__ import annotations

import pytest

from adaptbench.errors import UsageError
from adaptbench.execution.launch.time_limit import TimeLimit


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45s", 45),
        ("90m", 5400),
        ("2h", 7200),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("1H 30M 5S", 5405),
        ("2d12h", 216_000),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert TimeLimit.parse(text).seconds == seconds


@pytest.mark.parametrize(
    "text", ["", "90", "h", "0s", "0h0m", "-2h", "2h-", "30m1h", "2 hours", "1e3s", "inf"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match=r"--timeout .*: give a duration with its unit, like 2h"):
        TimeLimit.parse(text)


def test_reason_says_what_happened_and_how_to_go_on() -> None:
    reason = TimeLimit.parse("1h30m").reason
    assert "--timeout 1h30m" in reason
    assert "Run again to go on" in reason
