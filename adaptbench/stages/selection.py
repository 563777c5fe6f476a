"""The network of a stage, chosen among snapshots by target labels: a rule of several papers, and an oracle.

It runs in the job's own process, after the training; the process that trains never sees a label of the target.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from adaptbench.data import firewall
from adaptbench.evaluate import ScoredSplit, ranked_split
from adaptbench.evaluation.metrics import score
from adaptbench.evaluation.scorer import Scorer
from adaptbench.jobspec import State, Status, write_status
from adaptbench.stages.planned import PlannedStage
from adaptbench.stages.weights import filled_method
from adaptbench.storage import write_text
from adaptbench.training import snapshots
from adaptbench.workplace import Workplace


def complete(entry: PlannedStage) -> bool:
    """Whether all snapshots of the stage are there."""
    expected = snapshots.due(entry.stage.settings.iterations)
    return all(snapshots.file_of(entry.snapshots, iterations).exists() for iterations in expected)


def select(place: Workplace, entry: PlannedStage, stop: Callable[[], bool]) -> None:
    """Keeps the snapshot with the highest mean IoU on the ranked split, the earliest of equals.

    Beside it, a JSON file of the same name says what all of them scored, in percent.

    Raises:
        InterruptedTrainingError: asked to stop.
        DataError: labels are missing, or a picture or label cannot be used.
    """
    split = ranked_split(place)
    miou: dict[int, float] = {}
    expected = snapshots.due(entry.stage.settings.iterations)
    for number, iterations in enumerate(expected):
        choosing = Status(
            state=State.RUNNING, stage=f"choose on {split.ref}", iteration=number, total=len(expected)
        )
        write_status(place.folder, choosing)
        miou[iterations] = _miou(place, entry, iterations, split, stop)
    best = max(miou, key=lambda iterations: (miou[iterations], -iterations))
    facts = {"split": str(split.ref), "iterations": best, "miou": miou}
    write_text(entry.weights.with_suffix(".json"), json.dumps(facts, indent=1) + "\n")
    snapshots.file_of(entry.snapshots, best).replace(entry.weights)


def _miou(
    place: Workplace, entry: PlannedStage, iterations: int, split: ScoredSplit, stop: Callable[[], bool]
) -> float:
    with firewall.closed(place.closed_folders):
        method = filled_method(place.task, entry.stage, snapshots.file_of(entry.snapshots, iterations))
    scorer = Scorer(method, entry.stage.settings, place.device, place.closed_folders, stop)
    confusion = scorer.confusion(split.dataset, split.samples, lambda *_: None)
    firewall.require_intact()
    return score(
        confusion.total(),
        place.task.class_set,
        split=str(split.ref),
        provenance=split.provenance,
        images=len(split.samples),
    ).miou
