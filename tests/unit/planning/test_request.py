"""Options of a plan that exclude each other."""

from __future__ import annotations

from typing import Any

import pytest

from adaptbench.errors import UsageError
from adaptbench.planning.request import Request


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"compiled": True, "devices": 2}, "--compile.*Leave it or --devices out"),
        ({"compiled": True, "accumulate": 2}, "--compile.*Leave it or --accumulate out"),
        ({"devices": 2, "accumulate": 2}, "--accumulate.*Leave it or --devices out"),
    ],
)
def test_options_that_exclude_each_other_are_named(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Request(**options)
    for one in options:
        Request(**{one: options[one]})
