"""Intervals, p-values, Holm and equivalence against tables and textbook examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptbench.statistics.equivalence import equivalence, tost
from adaptbench.statistics.holm import holm
from adaptbench.statistics.student import interval, p_value, t_interval

#: Printed tables of Student's t: degrees of freedom -> (97.5 %, 95 % quantile).
TABLE = {1: (12.706, 6.314), 2: (4.303, 2.920), 4: (2.776, 2.132), 10: (2.228, 1.812), 30: (2.042, 1.697)}


@pytest.mark.parametrize("df", TABLE)
def test_interval_and_p_value_follow_the_printed_table(df: int) -> None:
    both, one = TABLE[df]
    found = interval(10.0, 2.0, df)
    assert found.high - 10 == pytest.approx(2 * both, abs=2e-3)
    assert 10 - found.low == pytest.approx(2 * both, abs=2e-3)
    assert p_value(2 * both, 2.0, df) == pytest.approx(0.05, abs=2e-4)
    assert interval(0.0, 1.0, df, 0.9).high == pytest.approx(one, abs=1e-3)


def test_t_interval_of_three_values() -> None:
    found = t_interval([1.0, 2.0, 3.0])
    assert found is not None
    assert found == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), abs=1e-6)


@pytest.mark.parametrize("values", [[], [40.0]])
def test_one_seed_has_no_t_interval(values: list[float]) -> None:
    assert t_interval(values) is None


def test_without_error_only_zero_is_no_difference() -> None:
    assert p_value(0.0, 0.0, 4) == 1
    assert p_value(0.1, 0.0, 4) == 0


def test_holm_by_hand() -> None:
    assert holm([0.005, 0.011, 0.02, 0.04, 0.13]) == pytest.approx([0.025, 0.044, 0.06, 0.08, 0.13])
    assert holm([0.6, 0.6]) == [1, 1]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(one <= two <= min(1.0, len(p) * one) + 1e-12 for one, two in zip(p, adjusted, strict=True))
    assert [adjusted[i] for i in sorted(range(len(p)), key=p.__getitem__)] == sorted(adjusted)


@pytest.mark.parametrize("sign", [-1, 1])
def test_tost_at_the_printed_quantile(sign: int) -> None:
    assert tost(sign * 0.4, 0.5, 10, margin=0.4 + 0.5 * 1.8125) == pytest.approx(0.05, abs=1e-5)
    assert tost(sign * 2.0, 0.5, 10) > 0.95


@pytest.mark.parametrize(
    ("difference", "error", "expected"),
    [
        (0.0, 0.2, "equivalent"),
        (0.5, 0.1, "equivalent"),  # other than 0, but within the margin
        (3.0, 0.5, "different"),
        (-3.0, 0.5, "different"),
        (0.5, 1.0, "cannot tell"),
        (0.0, 0.0, "equivalent"),
        (2.0, 0.0, "different"),
    ],
)
def test_verdicts(difference: float, error: float, expected: str) -> None:
    assert equivalence(difference, error, 8) == expected
