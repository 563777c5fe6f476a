"""The difference of a method's mean over seeds to a printed one, of which little more than the value is known."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from adaptbench.statistics.comparison import Difference, difference_of_means


def against_printed(
    own: Sequence[float], value: float, std: float | None = None, seeds: int | None = None
) -> Difference | None:
    """Own minus printed, in percent; None for a single own seed: nothing is known of what a seed changes.

    With a printed standard deviation (n-1) over several seeds both sides have an error of their own (Welch). Without
    one, the printed trainings are taken to vary as the own ones do; where their number is not printed either, it was
    one.
    """
    if len(own) < 2:
        return None
    mean, spread = statistics.fmean(own), statistics.variance(own)
    if std is not None and seeds is not None and seeds > 1:
        return difference_of_means((mean, spread, len(own)), (value, std**2, seeds))
    error = math.sqrt(spread * (1 / len(own) + 1 / (seeds or 1)))
    return Difference(mean - value, error, len(own) - 1, True)
