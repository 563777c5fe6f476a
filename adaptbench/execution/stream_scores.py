"""Scores of a stream: predictions were made by a sealed process; here they meet the labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adaptbench.data import files
from adaptbench.data.label_ids import train_ids
from adaptbench.data.pseudo_labels import PseudoLabels
from adaptbench.data.taxonomy import label_map
from adaptbench.evaluation.scorer import Scorer, Tell, reduced
from adaptbench.execution.job_context import JobContext
from adaptbench.execution.scored_splits import ScoredSplit, StreamPlace, stream_places
from adaptbench.execution.stages.planned import PlannedStage
from adaptbench.execution.stages.progress import Progress
from adaptbench.records.average import Average
from adaptbench.records.confusion_files import PerImageConfusion


def streamed_confusion(
    context: JobContext, scorer: Scorer, split: ScoredSplit, entry: PlannedStage, keep: Tell
) -> PerImageConfusion:
    """One matrix per image and round, of the predictions that a stage has made of the stream.

    Raises:
        DataError: a prediction is not as it was made, or a label cannot be used.
        InterruptedTrainingError: asked to stop.
    """
    places, made = stream_places(context), PseudoLabels(entry.folder, "prediction")
    made.require(place.name for place in places)
    classes = context.task.class_set
    table = label_map(split.dataset.id_space, classes.name)
    found = []
    with Progress(context.folder, f"score {split.ref}") as progress:
        for number, place in enumerate(places):
            scorer.go_on()
            truth = reduced(train_ids(split.dataset.read_label(place.sample), table), context.label_size)
            prediction = files.read_index_image(made.file(place.name))
            found.append(scorer.matrices_of(truth, prediction))
            keep(place.sample, number % len(split.samples), prediction)
            progress.report(number + 1, len(places))
    matrices = {place.name: matrix for place, (matrix, _) in zip(places, found, strict=True)}
    void = [counts for _, counts in found if counts is not None]
    return PerImageConfusion.collect(matrices, [_tags(place) for place in places], void)


def repeated(context: JobContext, found: PerImageConfusion) -> PerImageConfusion:
    """The matrices of a network that does not adapt: in every round the same."""
    places = stream_places(context)
    order = [number % len(found.names) for number in range(len(places))]
    void = None if found.void is None else found.void[order]
    names, tags = tuple(place.name for place in places), tuple(_tags(place) for place in places)
    return PerImageConfusion(names, found.matrices[order], tags, void)


def curve(context: JobContext, losses: Path | None, found: PerImageConfusion) -> str:
    """Lines of ``metrics.jsonl``, one per image of the stream: its mean IoU, and the loss of a network that adapts."""
    average, classes = Average.of(context.spec.ranking), len(context.task.class_set)
    lines: list[Mapping[str, Any]] = [{"iteration": number} for number in range(len(found.names))]
    if losses is not None:
        lines = [json.loads(line) for line in losses.read_text(encoding="utf-8").splitlines()]
    scores = (average.miou(matrix, classes) for matrix in found.matrices)
    whole = (
        {**line, "image_miou": None if np.isnan(score) else round(100 * score, 3)}
        for line, score in zip(lines, scores, strict=True)
    )
    return "".join(json.dumps(line) + "\n" for line in whole)


def _tags(place: StreamPlace) -> dict[str, str]:
    return {**place.sample.tags, "round": str(place.place.round + 1)}
