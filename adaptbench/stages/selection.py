"""The network of a stage, chosen among snapshots: by target labels, a rule of several papers and an oracle, or without.

What needs no labels was computed by the process that trained, which never sees a label of the target. Labels are read
here, in the job's own process, after the training.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from adaptbench import storage
from adaptbench.benchmark import CheckpointRule
from adaptbench.data import firewall
from adaptbench.evaluate import ScoredSplit, ranked_split
from adaptbench.evaluation.metrics import score
from adaptbench.evaluation.scorer import Scorer
from adaptbench.jobspec import State, Status, write_status
from adaptbench.stages.planned import PlannedStage, label_free_file, selection_by, weights_name
from adaptbench.stages.weights import filled_method
from adaptbench.training import snapshots
from adaptbench.workplace import Workplace

#: Number of iterations -> score of the snapshot.
Scores = Mapping[int, float]


def complete(entry: PlannedStage, place: Workplace) -> bool:
    """Whether all snapshots of the stage are there, and their scores without labels."""
    expected = snapshots.due(entry.stage.settings.iterations)
    files = [snapshots.file_of(entry.snapshots, iterations) for iterations in expected]
    return all(file.exists() for file in [*files, label_free_file(entry, place)])


def best(scores: Scores) -> int:
    """The snapshot with the highest score, the earliest of equals."""
    return max(scores, key=lambda iterations: (scores[iterations], -iterations))


def select(place: Workplace, entry: PlannedStage, stop: Callable[[], bool]) -> None:
    """Keeps the snapshot that each rule chooses.

    Beside it, a JSON file of the same name says how all of them scored: mean IoU on the ranked split in percent, and
    every score without labels.

    Raises:
        InterruptedTrainingError: asked to stop.
        DataError: labels are missing, or a picture or label cannot be used.
    """
    split = ranked_split(place)
    miou = _scored(place, entry, split, stop)
    label_free = _label_free(entry, place)
    rules: dict[CheckpointRule, Scores] = {"oracle-best": miou, **label_free}
    for rule, scores in rules.items():
        kept = entry.folder / weights_name(selection_by(rule, place.spec))
        facts = {"split": str(split.ref), "iterations": best(scores), "miou": miou, "label_free": label_free}
        storage.write_text(kept.with_suffix(".json"), json.dumps(facts, indent=1) + "\n")
        storage.relative_link(kept, snapshots.file_of(entry.snapshots, best(scores)))


def _label_free(entry: PlannedStage, place: Workplace) -> dict[CheckpointRule, Scores]:
    """By rule; empty where there are no target pictures."""
    raw = json.loads(label_free_file(entry, place).read_text(encoding="utf-8"))
    return {
        rule: {int(iterations): value for iterations, value in scores.items()} for rule, scores in raw.items()
    }


def remove_others(entry: PlannedStage) -> None:
    """Removes everything that belongs to the snapshots but those that a rule chose, on this board or another."""
    if not entry.snapshots.is_dir():
        return
    chosen = {link.resolve() for link in entry.folder.glob("*.safetensors") if link.is_symlink()}
    for file in entry.snapshots.iterdir():
        if file.resolve() not in chosen:
            file.unlink()


def _scored(
    place: Workplace, entry: PlannedStage, split: ScoredSplit, stop: Callable[[], bool]
) -> dict[int, float]:
    """Mean IoU of every snapshot on the ranked split, percent."""
    miou: dict[int, float] = {}
    expected = snapshots.due(entry.stage.settings.iterations)
    for number, iterations in enumerate(expected):
        choosing = Status(
            state=State.RUNNING, stage=f"choose on {split.ref}", iteration=number, total=len(expected)
        )
        write_status(place.folder, choosing)
        miou[iterations] = _miou(place, entry, iterations, split, stop)
    return miou


def _miou(
    place: Workplace, entry: PlannedStage, iterations: int, split: ScoredSplit, stop: Callable[[], bool]
) -> float:
    with firewall.closed(place.closed_folders):
        method = filled_method(place.task, entry.stage, snapshots.file_of(entry.snapshots, iterations))
    scorer = Scorer(method, entry.stage.settings, place.device, place.closed_folders, stop, place.label_size)
    confusion = scorer.confusion(split.dataset, split.samples, lambda *_: None)
    firewall.require_intact()
    return score(
        confusion.total(),
        place.task.class_set,
        split=str(split.ref),
        provenance=split.provenance,
        images=len(split.samples),
        absent=place.spec.ranking["absent_classes"],
    ).miou
