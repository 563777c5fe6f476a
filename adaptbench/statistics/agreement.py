"""How far two orders of the same things agree: Kendall's tau-b, and its interval over seeds.

Source: Kendall: The treatment of ties in ranking problems, Biometrika 33, 1945.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from adaptbench.statistics.resampling import unit_weights
from adaptbench.statistics.student import LEVEL, Interval

DRAWS = 2000
Floats = npt.NDArray[np.float64]


class Agreement(NamedTuple):
    """Tau-b of two orders: 1 = the same order, 0 = none in common, -1 = the reverse.

    Attributes:
        interval: over the seeds behind one of them; None where a mean has a single seed.
    """

    tau: float
    interval: Interval | None


def tau_b(ours: npt.ArrayLike, printed: npt.ArrayLike) -> Floats:
    """Tau-b of each row of ``ours`` with ``printed``; not a number where all values of one of them are equal.

    Shape: ``(..., M)`` and ``(M,)`` to ``(...)``.

    Example:
        >>> float(tau_b([1.0, 2.0, 4.0], [10.0, 30.0, 20.0]))
        0.3333333333333333
    """
    a, b = _order(np.asarray(ours, float)), _order(np.asarray(printed, float))
    untied = (a**2).sum(-1) * (b**2).sum(-1)
    with np.errstate(invalid="ignore"):
        return np.asarray((a * b).sum(-1) / np.sqrt(untied))


def agreement(by_seed: Sequence[Sequence[float]], printed: Sequence[float]) -> Agreement | None:
    """Tau-b of means over seeds with printed values; None where all means, or all printed values, are equal.

    The seeds of every mean are resampled with replacement (`resampling.unit_weights`), always by the same draws; the
    interval is the middle 95 % of the taus.
    """
    tau = float(tau_b([np.mean(seeds) for seeds in by_seed], printed))
    if np.isnan(tau):
        return None
    return Agreement(tau, _interval(by_seed, printed) if all(len(seeds) > 1 for seeds in by_seed) else None)


def _interval(by_seed: Sequence[Sequence[float]], printed: Sequence[float]) -> Interval:
    rng = np.random.default_rng(0)
    means = [unit_weights(len(seeds), DRAWS, rng) @ seeds / (len(seeds) - 1) for seeds in by_seed]
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(tau_b(np.stack(means, axis=-1), printed), [tail, 1 - tail])
    return Interval(float(low), float(high))


def _order(values: Floats) -> Floats:
    """Of every pair which one is larger: 1, -1, or 0 for a tie. Shape: ``(..., M)`` to ``(..., M (M - 1) / 2)``."""
    first, second = np.triu_indices(values.shape[-1], 1)
    return np.sign(values[..., first] - values[..., second])
