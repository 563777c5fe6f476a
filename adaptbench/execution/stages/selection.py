"""The network of a stage, chosen among snapshots: by target labels, a rule of several papers and an oracle, or without.

What needs no labels was computed by the process that trained, which never sees a label of the target. Labels are read
here, in the job's own process, after the training.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from adaptbench.contracts.benchmark import CheckpointRule, LabelSize
from adaptbench.data import firewall
from adaptbench.data.taxonomy import class_set
from adaptbench.evaluation.metrics import score
from adaptbench.evaluation.scorer import Scorer
from adaptbench.evaluation.sizes import scored_size
from adaptbench.execution.job_context import JobContext
from adaptbench.execution.scored_splits import ScoredSplit, ranked_split
from adaptbench.execution.stages.choice import Selection, choosing, selection_by, weights_name
from adaptbench.execution.stages.planned import PlannedStage, label_free_file
from adaptbench.execution.stages.progress import Progress
from adaptbench.execution.stages.weights import filled_method
from adaptbench.records.confusion_files import Matrix
from adaptbench.records.jobspec import JobSpec
from adaptbench.storage import atomic, sealed_json
from adaptbench.training import snapshots

#: Number of iterations -> score of the snapshot.
Scores = Mapping[int, float]


def complete(entry: PlannedStage, context: JobContext) -> bool:
    """Whether all snapshots of the stage are there, and their scores without labels."""
    expected = snapshots.due(entry.stage.settings.iterations)
    files = [snapshots.file_of(entry.snapshots, iterations) for iterations in expected]
    return all(file.exists() for file in [*files, label_free_file(entry, context)])


def best(scores: Scores) -> int:
    """The snapshot with the highest score, the earliest of equals."""
    return max(scores, key=lambda iterations: (scores[iterations], -iterations))


def select(context: JobContext, entry: PlannedStage, stop: Callable[[], bool]) -> None:
    """Keeps the snapshot that each rule chooses, and those that the labels choose as other protocols score.

    Beside it, a JSON file of the same name says how all of them scored: mean IoU on the ranked split in percent, and
    every score without labels.

    Raises:
        InterruptedTrainingError: asked to stop.
        DataError: labels are missing, or an image or label cannot be used.
    """
    split = ranked_split(context)
    file = label_free_file(entry, context)
    raw: dict[Any, dict[str, float]] = sealed_json.read(
        file, "Delete it and run again."
    )  # empty without target images
    label_free: dict[CheckpointRule, Scores] = {
        rule: {int(iterations): value for iterations, value in scores.items()} for rule, scores in raw.items()
    }
    jobs = [context.spec, *_rescored(context.spec)]
    miou = _scored(context, entry, split, jobs, stop)
    facts = {"split": str(split.ref), "label_free": label_free}
    chosen = [
        *((selection_by("oracle-best", job), found, found) for job, found in zip(jobs, miou, strict=True)),
        *((selection_by(rule, context.spec), scores, miou[0]) for rule, scores in label_free.items()),
    ]
    # The stage is done once its own choice is there: if that comes last, a killed process leaves none out.
    for selection, scores, found in sorted(chosen, key=lambda one: one[0] == entry.selection):
        _keep(entry, selection, scores, {**facts, "miou": found})


def _keep(entry: PlannedStage, selection: Selection, scores: Scores, facts: Mapping[str, Any]) -> None:
    kept = entry.folder / weights_name(selection)
    sealed_json.write(kept.with_suffix(".json"), {**facts, "iterations": best(scores)})
    atomic.relative_link(kept, snapshots.file_of(entry.snapshots, best(scores)))


def _rescored(spec: JobSpec) -> list[JobSpec]:
    """A job as other protocols that choose by labels, and count void pixels alike, score the same networks."""
    found = {selection_by("oracle-best", spec): spec}
    for name, rules in choosing(class_set(spec.class_set).head):
        if rules.ignore != spec.ranking["ignore"]:
            continue
        scoring = {"label_size": rules.label_size, "absent_classes": rules.absent_classes, "class_set": name}
        job = spec.model_copy(update={"ranking": {**spec.ranking, **scoring}})
        found.setdefault(selection_by("oracle-best", job), job)
    return list(found.values())[1:]


def remove_others(entry: PlannedStage) -> None:
    """Removes everything that belongs to the snapshots but those that a rule chose, on this board or another."""
    if not entry.snapshots.is_dir():
        return
    chosen = {link.resolve() for link in entry.folder.glob("*.safetensors") if link.is_symlink()}
    for file in entry.snapshots.iterdir():
        if file.resolve() not in chosen:
            file.unlink()


def _scored(
    context: JobContext,
    entry: PlannedStage,
    split: ScoredSplit,
    jobs: Sequence[JobSpec],
    stop: Callable[[], bool],
) -> list[dict[int, float]]:
    """Mean IoU of every snapshot on the ranked split, percent, as each of several jobs scores."""
    miou: list[dict[int, float]] = [{} for _ in jobs]
    expected = snapshots.due(entry.stage.settings.iterations)
    sizes = {job.ranking["label_size"] for job in jobs}
    with Progress(context.folder, f"choose on {split.ref}") as progress:
        for number, iterations in enumerate(expected):
            progress.report(number, len(expected))
            totals = _totals(context, entry, iterations, split, sizes, progress.while_asking(stop))
            for job, scores in zip(jobs, miou, strict=True):
                scores[iterations] = _miou(totals[job.ranking["label_size"]], job, split)
    return miou


def _totals(
    context: JobContext,
    entry: PlannedStage,
    iterations: int,
    split: ScoredSplit,
    label_sizes: Collection[LabelSize],
    stop: Callable[[], bool],
) -> dict[LabelSize, Matrix]:
    """A snapshot's confusion matrix over the split, by the size of the labels."""
    with firewall.closed(context.closed_folders):
        method = filled_method(context.task, entry.stage, snapshots.file_of(entry.snapshots, iterations))
    scorer = Scorer(
        method,
        entry.stage.settings,
        context.device,
        context.closed_folders,
        stop,
        ignore=context.ignore,
        readers=context.spec.workers,
    )
    sizes = [scored_size(stated, context.task.profile) for stated in label_sizes]
    found = scorer.totals(split.dataset, split.samples, sizes)
    firewall.require_intact()
    return dict(zip(label_sizes, found, strict=True))


def _miou(total: Matrix, job: JobSpec, split: ScoredSplit) -> float:
    return score(
        total,
        class_set(job.class_set),
        split=str(split.ref),
        provenance=split.provenance,
        images=len(split.samples),
        absent=job.ranking["absent_classes"],
    ).miou
