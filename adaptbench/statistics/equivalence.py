"""Are two values the same for all practical purposes? Two one-sided tests (TOST)."""

from __future__ import annotations

from typing import Literal

from adaptbench.statistics.student import LEVEL, p_value, upper_tail

Verdict = Literal["equivalent", "different", "cannot tell"]

#: Differences below this are of no interest. Units: points of mIoU.
MARGIN = 1.0


def tost(difference: float, error: float, df: float, margin: float = MARGIN) -> float:
    """P-value of "the values differ by at least the margin": the larger of the two one-sided p-values.

    Source: Schuirmann: A comparison of the two one-sided tests procedure, J. Pharmacokinet. Biopharm. 15, 1987.
    """
    inside = margin - abs(difference)
    if error == 0:
        return 0.0 if inside > 0 else 1.0
    return upper_tail(inside / error, df)


def equivalence(difference: float, error: float, df: float, margin: float = MARGIN) -> Verdict:
    """What can be said about a difference.

    Equivalent where the 90 % interval lies within the margin, even if it excludes 0; different where the 95 %
    interval excludes 0; else the data are too few to tell.
    """
    if tost(difference, error, df, margin) < 1 - LEVEL:
        return "equivalent"
    return "different" if p_value(difference, error, df) < 1 - LEVEL else "cannot tell"
