"""Kendall's tau-b against known permutations and SciPy, and its interval over seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from adaptbench.statistics.agreement import agreement, tau_b


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ([1, 2, 3, 4], 1.0),
        ([4, 3, 2, 1], -1.0),
        ([2, 1, 3, 4], 4 / 6),
        ([1, 1, 2, 3], 5 / 30**0.5),  # one tie
        ([1, 1, 2, 2], 4 / 24**0.5),
    ],
)
def test_known_orders(ours: list[float], expected: float) -> None:
    assert float(tau_b(ours, [10, 20, 30, 40])) == pytest.approx(expected)


def test_it_is_scipys() -> None:
    rng = np.random.default_rng(0)
    worlds, printed = rng.integers(5, size=(50, 7)), rng.integers(5, size=7)
    expected = [stats.kendalltau(world, printed).statistic for world in worlds]
    assert tau_b(worlds, printed) == pytest.approx(expected)


def test_where_all_are_equal_there_is_no_order() -> None:
    assert agreement([[40.0], [40.0], [40.0]], [1, 2, 3]) is None
    assert agreement([[1.0], [2.0], [3.0]], [50, 50, 50]) is None


def test_methods_that_overlap_have_a_wide_interval() -> None:
    apart = agreement([[10.0, 11.0], [20.0, 21.0], [30.0, 31.0]], [1, 2, 3])
    assert apart is not None and apart.interval == (1.0, 1.0)
    near = [[10.0, 14.0, 12.0], [11.0, 15.0, 13.0], [12.0, 16.0, 14.0]]
    found = agreement(near, [1, 2, 3])
    assert found is not None and found.interval is not None
    assert (found.tau, found.interval.high) == (1.0, 1.0) and found.interval.low < 0
    assert found == agreement(near, [1, 2, 3])


def test_a_lone_seed_has_no_interval() -> None:
    found = agreement([[10.0, 11.0], [20.0], [30.0, 31.0]], [1, 2, 3])
    assert found is not None and found == (1.0, None)
