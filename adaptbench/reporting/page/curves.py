"""Learning curves of jobs, from their ``metrics.jsonl``."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from adaptbench.errors import RunStateError
from adaptbench.records.curves import history
from adaptbench.reporting.page.charts import Chart, line_chart

_log = logging.getLogger(__name__)

#: Values of a metric at iterations.
Metric = tuple[list[float], list[float]]

#: A curve has at most this many points; each is a mean.
POINTS = 60
#: Metrics in the order in which they are shown; the others follow by name.
_FIRST = ("loss", "acc_seg", "mix.acc_seg", "mix.confidence", "learning_rate")
TITLES = {
    "loss": "loss (sum of all terms)",
    "acc_seg": "pixel accuracy on source crops (%)",
    "mix.acc_seg": "pixel accuracy on mixed crops (%)",
    "mix.confidence": "share of confident pseudo-labels",
    "learning_rate": "learning rate",
}


def read_metrics(path: Path, say: Callable[[str], None] = _log.warning) -> dict[str, Metric]:
    """Every scalar of a training, thinned to `POINTS` means; nothing where the file is gone, or damaged as is said."""
    found: dict[str, Metric] = {}
    try:
        for step, values in history(path):
            for name, value in values.items():
                if math.isfinite(value):
                    steps, numbers = found.setdefault(name, ([], []))
                    steps.append(float(step))
                    numbers.append(float(value))
    except RunStateError as error:
        say(f"no curves: {error}")
        return {}
    except (TypeError, OverflowError) as error:
        say(f"no curves: {path} holds a value that is no number ({error}).")
        return {}
    return {name: thinned(*metric) for name, metric in found.items()}


def thinned(steps: Sequence[float], numbers: Sequence[float], points: int = POINTS) -> Metric:
    """Means over neighbours, so that at most ``points`` are left; the first value is kept as it is."""
    size = max(1, math.ceil((len(steps) - 1) / max(points - 1, 1)))
    starts = [0, *range(1, len(steps), size)]
    ends = [*starts[1:], len(steps)]
    return (
        [sum(steps[a:b]) / (b - a) for a, b in zip(starts, ends, strict=True)],
        [sum(numbers[a:b]) / (b - a) for a, b in zip(starts, ends, strict=True)],
    )


def charts(
    runs: Sequence[tuple[str, Mapping[str, Metric]]], only: Sequence[str] | None = None
) -> list[Chart]:
    """One chart per metric (of ``only``, if given), with a curve per run that has it; runs are labels with metrics."""
    names = {name for _, metrics in runs for name in metrics if only is None or name in only}
    first = [name for name in _FIRST if name in names]
    drawn = [
        line_chart(
            f"curve-{i}",
            TITLES.get(name, name),
            [(label, *metrics[name]) for label, metrics in runs if name in metrics],
            "iteration",
        )
        for i, name in enumerate([*first, *sorted(names - set(first))])
    ]
    return [chart for chart in drawn if chart is not None]
