"""Scores the trained network of a job on every evaluation split and builds its record."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import cv2

from adaptbench import networks
from adaptbench.contracts.benchmark import SplitRef
from adaptbench.contracts.dataset import Sample
from adaptbench.contracts.settings import Settings
from adaptbench.contracts.stream_method import StreamMethod
from adaptbench.data import firewall
from adaptbench.evaluation.metrics import score
from adaptbench.evaluation.scorer import Scorer, Tell, UInt8
from adaptbench.execution.job_context import JobContext
from adaptbench.execution.scored_splits import ScoredSplit, scored_splits
from adaptbench.execution.source_classes import unseen
from adaptbench.execution.stages.planned import PlannedStage
from adaptbench.execution.stages.progress import Progress
from adaptbench.execution.stages.streaming import adapted_network
from adaptbench.execution.stages.weights import trained_method
from adaptbench.execution.stream_scores import repeated, streamed_confusion
from adaptbench.records import checkout
from adaptbench.records.compilation import Compilation, joined
from adaptbench.records.confusion_files import Matrix, PerImageConfusion, matrices_file
from adaptbench.records.jobspec import JobSpec, predictions_folder
from adaptbench.records.pseudo_labels import summarise
from adaptbench.records.record import Cost, NetworkInfo, Record, Score, ShownSize, Snapshot, Stream
from adaptbench.records.stream_parts import stream_parts
from adaptbench.storage import sealed_json
from adaptbench.storage.atomic import write_bytes
from adaptbench.training import checkpoint

#: Predictions of the first so many images of every split are kept for the report.
IMAGES = 4
#: And of so many more of the ranked split, evenly spaced, among which are those that methods disagree on.
FURTHER = 20

_VERSIONS = (
    "torch",
    "torchvision",
    "mmsegmentation",
    "mmengine",
    "mmcv-lite",
    "numpy",
    "opencv-python",
    "adaptbench",
)


@dataclass(frozen=True)
class Scored:
    """What evaluation found.

    Attributes:
        images_per_second: of segmenting the ranked split.
        flops: of segmenting its first image, of a network that does not adapt.
        unseen: classes of it that no source image shows; None = it was trained elsewhere, on what is not known here.
        stream: what became of the network over it, where it is a stream.
    """

    scores: list[Score]
    weights_sha256: str
    parameters: int
    seconds: float
    images_per_second: float | None
    flops: float | None
    unseen: list[str] | None
    stream: Stream | None


def run(context: JobContext, result: PlannedStage, stop: Callable[[], bool]) -> Scored:
    """Scores the network of the last stage; keeps one confusion matrix per image in ``confusion/``.

    Raises:
        InterruptedTrainingError: asked to stop.
        DataError: labels are missing (says how many), or an image or label cannot be used.
    """
    started = time.monotonic()
    ranked, *others = scored_splits(context)
    scorer = _scorer(context, result, stop)
    found = _ranked(context, scorer, ranked, result)
    scores = [_kept_score(context, ranked, found)]
    speed = _images_per_second(result) if result.stage.adapts else scorer.images_per_second
    scores += [_score(context, scorer, split) for split in others]
    flops = None if result.stage.adapts else scorer.flops(ranked.dataset, ranked.samples[0])
    stream = None if context.benchmark.stream is None else _stream(context, result, found, others, stop)
    firewall.require_intact()
    return Scored(
        scores=scores,
        weights_sha256=checkpoint.digest(scorer.network.state_dict()),
        parameters=scorer.parameters,
        seconds=time.monotonic() - started,
        images_per_second=speed,
        flops=flops,
        unseen=None if context.spec.start is not None else unseen(context, scores[0], stop),
        stream=stream,
    )


def _scorer(context: JobContext, result: PlannedStage, stop: Callable[[], bool]) -> Scorer:
    """What scores the network of a stage; one that has adapted is the network after the stream."""
    shown = _shown(result)
    with firewall.closed(context.closed_folders):
        method = trained_method(context, shown)
        adapted = adapted_network(method, result, context.device) if result.stage.adapts else None
    return Scorer(
        method,
        shown.stage.settings,
        context.device,
        context.closed_folders,
        stop,
        context.label_size,
        context.ignore,
        readers=context.spec.workers,
        adapted=adapted,
    )


def _shown(result: PlannedStage) -> PlannedStage:
    """The stage whose method says how images are shown; one that adapts shows them like that before it."""
    return result.start if result.stage.adapts and result.start is not None else result


def _ranked(
    context: JobContext, scorer: Scorer, split: ScoredSplit, result: PlannedStage
) -> PerImageConfusion:
    """The matrices of the ranked split; of a stream, one per image and round."""
    if result.stage.adapts:
        return streamed_confusion(context, scorer, split, result, _keeper(context, split, FURTHER))
    found = _confusion(context, scorer, split, FURTHER)
    return found if context.benchmark.stream is None else repeated(context, found)


def _images_per_second(result: PlannedStage) -> float | None:
    seconds = float(result.cost()["seconds_per_image"])
    return 1 / seconds if seconds > 0 else None


def _stream(
    context: JobContext,
    result: PlannedStage,
    found: PerImageConfusion,
    others: Sequence[ScoredSplit],
    stop: Callable[[], bool],
) -> Stream:
    """What became of the network over the stream, and how it was on the other splits before."""
    method, before = context.method, dict[str, float]()
    if result.stage.adapts and result.start is not None:
        unadapted = _scorer(context, result.start, stop)
        for split in others:
            with Progress(context.folder, f"score {split.ref} before the stream") as progress:
                (total,) = unadapted.totals(split.dataset, split.samples, [context.label_size])
                progress.report(len(split.samples), len(split.samples))
            before[str(split.ref)] = _score_of(context, split, total, len(split.samples)).miou
    return Stream(
        predictions=method.predictions if issubclass(method, StreamMethod) else "unadapted",
        parts=stream_parts(found, context.spec.ranking, len(context.task.class_set)),
        before=before,
    )


def build_record(context: JobContext, results: list[PlannedStage], scored: Scored) -> Record:
    """The job's record."""
    spec, method, benchmark = context.spec, context.method, context.benchmark
    settings = results[-1].stage.settings
    return Record(
        job_hash=spec.job_hash,
        ranking_hash=spec.ranking_hash,
        ranking=spec.ranking,
        group_hash=spec.group_hash,
        method=spec.method,
        method_title=method.title,
        method_version=method.version,
        paper=method.paper,
        tags=list(method.tags),
        oracle=any(result.oracle for result in results),
        smoke=spec.limit is not None,
        benchmark=spec.board,
        benchmark_title=benchmark.title,
        setting=benchmark.setting,
        profile=spec.profile,
        seed=spec.seed,
        network=NetworkInfo(
            name=settings.network,
            parameters=scored.parameters,
            pretraining=_pretraining(spec, settings),
            weights=results[-1].stage.method.scored_weights,
        ),
        iterations=sum(r.stage.settings.iterations for r in results if r.stage.trains),
        settings=spec.settings,
        settings_origin=spec.settings_origin,
        precision=spec.precision,
        compilation=_compilation(spec, results),
        accumulate=spec.accumulate,
        overrides=spec.overrides,
        data=_data(spec),
        shown_sizes=_shown_sizes(context, _shown(results[-1])),
        scores=scored.scores,
        averaged=[str(ref) for ref in benchmark.averaged],
        pseudo_labels=summarise(results[-1].metrics(), settings.iterations, context.task.class_set.classes),
        snapshots=_snapshots(results[-1]),
        stream=scored.stream,
        unseen=scored.unseen,
        weights_sha256=scored.weights_sha256,
        cost=_cost(spec, results, scored),
        environment=environment(),
    )


def _pretraining(spec: JobSpec, settings: Settings) -> str:
    """What the network started from: the data of its encoder's weights, or the name of a network that was given."""
    if spec.start is not None:
        return spec.start.name
    found = networks.start_of(settings.network, settings.pretraining)
    return "none" if found is None else found.data


def _compilation(spec: JobSpec, results: list[PlannedStage]) -> Compilation | None:
    """What became of --compile in the trainings."""
    trainings = [result.cost() for result in results if result.stage.trains]
    return (
        joined(Compilation.model_validate(one["compilation"]) for one in trainings) if spec.compiled else None
    )


def _shown_sizes(context: JobContext, result: PlannedStage) -> dict[str, ShownSize]:
    """Per dataset the stated size of its images, and what a test makes of it."""
    settings = result.stage.settings
    with firewall.closed(context.closed_folders):
        framing = result.stage.method.sampling(settings).framing
    return {
        name: ShownSize(
            stated=dataset.training_size,
            shown=framing.size(dataset.training_size, context.input_size(name, settings.resolution)),
        )
        for name, dataset in context.datasets.items()
    }


def _cost(spec: JobSpec, results: list[PlannedStage], scored: Scored) -> Cost:
    costs = [result.cost() for result in results]
    last, adapts = costs[-1], results[-1].stage.adapts
    trainings = [result for result in results if result.stage.trains]
    joules = [result.cost().get("joules") for result in trainings]
    known = [value for value in joules if value is not None]
    return Cost(
        training_seconds=sum(result.cost()["seconds"] for result in results if not result.stage.adapts),
        evaluation_seconds=scored.seconds + (last["seconds"] if adapts else 0.0),
        peak_memory_mib=max(cost["peak_memory_mib"] for cost in costs),
        device=spec.device,
        flops=scored.flops,
        training_pictures_per_second=_training_speed(trainings),
        inference_pictures_per_second=scored.images_per_second,
        training_joules=sum(known) if known and len(known) == len(joules) else None,
        devices=max(cost.get("devices", 1) for cost in costs),
        adaptation_seconds_per_image=last["seconds_per_image"] if adapts else None,
        adaptation_memory_mib=last["peak_memory_mib"] if adapts else None,
    )


def _training_speed(trainings: list[PlannedStage]) -> float | None:
    """Crops or images of both domains per second; None where no time passed."""
    seconds = sum(result.cost()["seconds"] for result in trainings)
    images = sum(
        result.stage.settings.iterations
        * result.stage.settings.batch_size
        * (2 if result.stage.method.uses_target_images else 1)
        for result in trainings
    )
    return images / seconds if seconds > 0 else None


def _snapshots(result: PlannedStage) -> list[Snapshot] | None:
    """What was found out when the scored network was chosen."""
    if result.selection is None:
        return None
    way_out = f"Delete {result.weights} and run again, so that it is chosen anew."
    facts = sealed_json.read(result.weights.with_suffix(".json"), way_out)
    rules: dict[str, dict[str, float]] = facts.get("label_free", {})  # versions before had none
    return [
        Snapshot(iterations=int(n), miou=miou, label_free={rule: scores[n] for rule, scores in rules.items()})
        for n, miou in facts["miou"].items()
    ]


def environment() -> dict[str, str]:
    """Versions and machine, for the record."""
    versions = {name: metadata.version(name) for name in _VERSIONS if _installed(name)}
    found = checkout.commit()
    commit = {"commit": found} if found else {}
    return {"python": platform.python_version(), "machine": platform.machine(), **versions, **commit}


def _score(context: JobContext, scorer: Scorer, split: ScoredSplit) -> Score:
    """Scores one split; keeps its matrices and some predictions, and says how far it is."""
    return _kept_score(context, split, _confusion(context, scorer, split))


def _confusion(
    context: JobContext, scorer: Scorer, split: ScoredSplit, further: int = 0
) -> PerImageConfusion:
    keep = _keeper(context, split, further)

    def tell(sample: Sample, number: int, prediction: UInt8) -> None:
        keep(sample, number, prediction)
        progress.report(number + 1, len(split.samples))

    with Progress(context.folder, f"score {split.ref}") as progress:
        return scorer.confusion(split.dataset, split.samples, tell)


def _keeper(context: JobContext, split: ScoredSplit, further: int) -> Tell:
    """Keeps the predictions of the first images, and of so many further ones."""
    total, predictions = len(split.samples), predictions_folder(context.folder, str(split.ref))
    kept = {*range(IMAGES), *(i * total // further for i in range(further))}

    def keep(sample: Sample, number: int, prediction: UInt8) -> None:
        if number in kept:
            write_bytes(predictions / f"{sample.name}.png", cv2.imencode(".png", prediction)[1].tobytes())

    return keep


def _kept_score(context: JobContext, split: ScoredSplit, confusion: PerImageConfusion) -> Score:
    """The score of matrices, which are kept."""
    confusion.save(matrices_file(context.folder, str(split.ref)))
    return _score_of(context, split, confusion.total(), len(confusion.names))


def _score_of(context: JobContext, split: ScoredSplit, total: Matrix, images: int) -> Score:
    return score(
        total,
        context.task.class_set,
        split=str(split.ref),
        provenance=split.provenance,
        images=images,
        absent=context.spec.ranking["absent_classes"],
    )


def _data(spec: JobSpec) -> dict[str, dict[str, Any]]:
    """Identity of the data of every dataset; of one that is also scored beside, that of the training."""
    beside = {SplitRef.parse(text).dataset: source for text, source in sorted(spec.also.items())}
    everything = {**beside, **spec.data}
    return {name: everything[name].identity() for name in sorted(everything)}


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
