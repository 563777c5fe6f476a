"""Student's t: the interval of a mean over seeds, and the p-value and interval of an estimate with its error."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

#: Level of every interval, and one minus the level of every test.
LEVEL = 0.95


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Interval of the mean of independent values: mean ± t(n-1) s / sqrt(n); None below two values.

    Example:
        >>> t_interval([1.0, 2.0, 3.0]).high > 4.4
        True
    """
    if len(values) < 2:
        return None
    error = statistics.stdev(values) / math.sqrt(len(values))
    return interval(statistics.fmean(values), error, len(values) - 1, level)


def interval(estimate: float, error: float, df: float, level: float = LEVEL) -> Interval:
    """Interval of an estimate whose standard error has ``df`` degrees of freedom."""
    from scipy.special import stdtrit

    half = float(stdtrit(df, 0.5 + level / 2)) * error
    return Interval(estimate - half, estimate + half)


def p_value(estimate: float, error: float, df: float) -> float:
    """Two-sided p-value of "the truth is 0"; an estimate of exactly 0 without error gives 1."""
    if error == 0:
        return 1.0 if estimate == 0 else 0.0
    return 2 * upper_tail(abs(estimate) / error, df)


def upper_tail(t: float, df: float) -> float:
    """Probability that Student's t with ``df`` degrees of freedom exceeds ``t``."""
    from scipy.special import stdtr

    return float(stdtr(df, -t))
