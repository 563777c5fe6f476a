"""What the log of a self-training says about its pseudo-labels, for the record. Target labels play no part in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from adaptbench.records.record import PseudoLabels

#: Names in ``metrics.jsonl``; the first two are vectors with an entry per class.
SHARE, CONFIDENT_SHARE, PASTED = "pseudo.class_share", "pseudo.confident_class_share", "mix.pasted"
_DIGITS = 5


def summarise(metrics: Path, iterations: int, classes: Sequence[str]) -> PseudoLabels | None:
    """Means over what was logged in the last tenth of a training; None where it has no pseudo-labels."""
    logged = map(json.loads, metrics.read_text("utf-8").splitlines()) if metrics.exists() else ()
    lines = [line for line in logged if line["iteration"] + 1 > 0.9 * iterations and SHARE in line]
    if not lines:
        return None
    share = _means([line[SHARE] for line in lines])
    confident = _means([line[CONFIDENT_SHARE] for line in lines])
    pasted = [line[PASTED] for line in lines if PASTED in line]
    return PseudoLabels(
        batches=len(lines),
        confidence=round(sum(confident), _DIGITS),
        pasted=_means([[value] for value in pasted])[0] if pasted else None,
        class_share=dict(zip(classes, share, strict=True)),
        confident_share={
            name: round(sure / seen, _DIGITS) if seen else None
            for name, seen, sure in zip(classes, share, confident, strict=True)
        },
    )


def _means(rows: Sequence[Sequence[float]]) -> list[float]:
    """Mean of every column."""
    return [round(sum(column) / len(column), _DIGITS) for column in zip(*rows, strict=True)]
