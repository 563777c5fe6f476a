"""Many tests at once: Holm's step-down correction."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: rejecting those up to a level makes any false rejection at most that likely.

    The i-th smallest of m is multiplied by m - i + 1; larger p-values stay at least as large, none exceeds 1.

    Source: Holm: A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6, 1979.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
