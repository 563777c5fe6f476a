"""Our mean over seeds against a printed one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from adaptbench.statistics.printed import against_printed

OWN = [44.1, 45.0, 43.2, 44.8, 44.4]


def test_with_a_printed_deviation_it_is_welchs_test() -> None:
    found = against_printed(OWN, 46.0, 0.5, 3)
    assert found is not None
    expected = stats.ttest_ind_from_stats(
        np.mean(OWN), np.std(OWN, ddof=1), len(OWN), 46.0, 0.5, 3, equal_var=False
    )
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)


@pytest.mark.parametrize(("seeds", "assumed"), [(None, 1), (1, 1), (3, 3)])
def test_without_one_the_printed_trainings_vary_as_ours(seeds: int | None, assumed: int) -> None:
    found = against_printed(OWN, 46.0, seeds=seeds)
    assert found is not None
    error = np.std(OWN, ddof=1) * np.sqrt(1 / 5 + 1 / assumed)
    assert (found.error, found.df) == (pytest.approx(error), 4)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(np.mean(OWN) - 46.0) / error, 4))


def test_a_lone_seed_says_nothing() -> None:
    assert against_printed([44.0], 46.0, 0.5, 3) is None


def test_equal_trainings_are_rarely_called_different() -> None:
    random = np.random.default_rng(0)
    worlds = random.normal(50, 0.8, (4000, 6))
    found = [against_printed(list(world[:5]), world[5]) for world in worlds]
    share = np.mean([f is not None and f.verdict() == "different" for f in found])
    assert 0.02 < share <= 0.055
