"""Which classes of a score no labelled source image shows: a network can only guess them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from adaptbench.data.taxonomy import label_map
from adaptbench.errors import InterruptedTrainingError
from adaptbench.execution.job_context import JobContext
from adaptbench.execution.stages.data import used_samples
from adaptbench.records.average import Average
from adaptbench.records.record import Score


def unseen(context: JobContext, ranked: Score, stop: Callable[[], bool]) -> list[str]:
    """Averaged classes of the ranked split that no source image of this job shows, in class order.

    Source labels are read until every class was found: few of them, unless one is missing.

    Raises:
        InterruptedTrainingError: asked to stop.
        DataError: a label cannot be read.
    """
    names = list(ranked.iou)
    averaged = Average.of(context.spec.ranking).classes
    missing = {
        c
        for c, name in enumerate(names)
        if ranked.iou[name] is not None and (averaged is None or c in averaged)
    }
    for ref in context.benchmark.source:
        dataset = context.datasets[ref.dataset]
        table = label_map(dataset.id_space, context.spec.class_set)
        possible = set(table.tolist())
        for sample in used_samples(context, ref):
            if not missing & possible:  # all found, or the labels of this dataset have none of the others
                break
            if stop():
                raise InterruptedTrainingError("Stopped during evaluation; run again to go on.")
            missing -= set(np.unique(table[dataset.read_label(sample)]).tolist())
    return [names[c] for c in sorted(missing)]
