"""The process that trains a stage, or labels images with a trained one: out of reach of all labels."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook

from adaptbench import networks, signals
from adaptbench.contracts.method import Stage
from adaptbench.contracts.profiles import profile
from adaptbench.data import firewall
from adaptbench.data.class_statistics import Found, LabelledItem
from adaptbench.data.image_cache import ImageCache
from adaptbench.data.loading import each
from adaptbench.data.pseudo_labels import PseudoLabels
from adaptbench.data.stream import TrainingStream
from adaptbench.errors import InterruptedTrainingError, PluginError, RunStateError
from adaptbench.execution.given.stage import filled
from adaptbench.execution.job_context import JobContext, open_job_context
from adaptbench.execution.launch import processes
from adaptbench.execution.launch.endings import ending, keep_traceback, reason_of
from adaptbench.execution.stages import streaming
from adaptbench.execution.stages.data import cached, target_images, training_data
from adaptbench.execution.stages.planned import METRICS, RESULT, PlannedStage, label_free_file, plan_stages
from adaptbench.execution.stages.progress import Progress, peak_memory, say
from adaptbench.execution.stages.ranking_sheet import SHEET, TABLE, Ranking, draw_sheet, write_table
from adaptbench.execution.stages.sealing import Outside, put_out_of_reach, seal
from adaptbench.execution.stages.weights import build_method, filled_method
from adaptbench.networks.hrda import HRDASegmentor
from adaptbench.ranks import group
from adaptbench.ranks.group import ALONE, Ranks
from adaptbench.records.jobspec import load_job
from adaptbench.storage import sealed_json, streams
from adaptbench.storage.plain_files import file_digest
from adaptbench.training import checkpoint, label_free, method_state, precision, snapshots
from adaptbench.training.debug_images import DebugImages
from adaptbench.training.label_pass import Item, label_images
from adaptbench.training.loop import TrainingLoop, stage_seed
from adaptbench.training.trained_sizes import require_trainable

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
#: What every pipe takes although nobody reads it yet.
_REASON_BYTES = 4000


def main(folder: Path, index: int, parent: int, outside: Outside, ranks: Ranks = ALONE) -> None:
    """Trains stage number ``index`` of the job in ``folder``, as one of ``ranks``, and ends the process."""
    signals.end_with_parent(parent)
    streams.keep_talking()
    stop = signals.stop_flag()
    if not ranks.first:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for good: one tells what all do
    try:
        spec = load_job(folder)
        processes.fix_threads(spec.threads)
        context = open_job_context(spec, folder)
        entry = plan_stages(context)[index]
        if entry.stage.labeller is not None:
            _label(context, entry, stop, outside)
        elif entry.stage.adapts:
            streaming.adapt(context, entry, stop, outside)
        elif entry.stage.given:
            _take(context, entry, outside)
        else:
            group.meet(ranks, outside.scratch / "ranks", context.device)
            _train(context, entry, stop, outside, ranks)
            group.part()
    except InterruptedTrainingError:
        os._exit(EXIT_INTERRUPTED)
    except BaseException as error:
        outside.reason.send_bytes(_reason(error).encode(errors="backslashreplace")[:_REASON_BYTES])
        if not (folder / "traceback.txt").exists():  # else it is that of the rank that failed first
            keep_traceback(folder)
        os._exit(EXIT_FAILED)


def _reason(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        return ending("The training process", code)
    return reason_of(error)


def _train(
    context: JobContext, entry: PlannedStage, stop: Callable[[], bool], outside: Outside, ranks: Ranks
) -> None:
    stage, chosen = entry.stage, profile(context.spec.profile)
    seed = stage_seed(entry.hash)
    sampling = stage.method.sampling(stage.settings)
    normalisation = networks.spec(stage.settings.network).normalisation
    labels = None if entry.labels is None else PseudoLabels(entry.labels.folder)
    data = training_data(context, stage, labels)
    cache = _image_cache(context)
    if cache is not None:
        data = cached(data[0], cache), None if data[1] is None else cached(data[1], cache)
    stream = TrainingStream(*data, stage.settings, seed, sampling, normalisation)
    stream.require_margins()
    seal(context, stream, outside)
    if stream.needs_class_counts:
        if ranks.first:
            _count_classes(context, stage, stream, stop)
        ranks.wait()  # then the others find what was counted
    if labels is not None and ranks.first:
        _keep_ranking(context, entry, labels)
    method = build_method(context, entry, seed)
    precision.require_available(context.spec.precision, context.device)
    if not isinstance(method.student, HRDASegmentor):  # which has looked at its crops itself
        require_trainable(stage.method.name, method.student, stream.sizes(), stage.settings.batch_size)
    if context.spec.activation_checkpointing:
        networks.checkpoint_activations(method.student)
    if context.spec.compiled:
        processes.keep_compiled_code()
    folder = entry.folder if entry.selection is None else entry.snapshots
    folder.mkdir(exist_ok=True)
    progress = Progress.of_parent(context.folder, stage.name)
    loop = TrainingLoop(
        method,
        stream,
        folder,
        device=context.device,
        precision=context.spec.precision,
        workers=context.spec.workers,
        compiled=context.spec.compiled,
        accumulate=context.spec.accumulate,
        say=say,
        checkpoint_every=min(chosen.checkpoint_every, max(1, len(stream) // 4)),
        hooks=[*_debug_images(context, stage), *([] if entry.selection is None else [snapshots.Snapshots()])],
        report=progress.report if ranks.first else lambda *_: None,
        should_stop=stop,
        ranks=ranks,
    )
    with progress:
        loop.run()
    if not ranks.first:
        firewall.require_intact()
        return
    if cache is not None:
        say(str(cache))
    if entry.selection is not None:
        _score_snapshots(context, entry, stop)
    firewall.require_intact()
    _keep(context, entry, loop)
    loop.checkpoint_file.unlink(missing_ok=True)


def _keep(context: JobContext, entry: PlannedStage, loop: TrainingLoop) -> None:
    """Keeps the last iterate. A training that was repeated for its snapshots must come to the same one."""
    if entry.trained:
        if not method_state.is_written(loop.model, *checkpoint.load(entry.last_weights)):
            raise RunStateError(
                f"Trained again for snapshots, {entry.folder} ends with other weights than before: machine or "
                "libraries are others. Use another --out folder, or delete this one."
            )
        return
    state, facts = method_state.written_state(loop.model, loop.model_state())
    checkpoint.save(entry.last_weights, state, {**facts, "stage": entry.hash, "iterations": loop.iter})
    metrics = Path(loop.work_dir) / "metrics.jsonl"
    if metrics.exists():
        metrics.replace(entry.folder / "metrics.jsonl")
    result: dict[str, Any] = {
        "devices": loop.world_size,
        "seconds": loop.seconds,
        "peak_memory_mib": peak_memory(context.device),
        "joules": loop.energy.joules,
        METRICS: file_digest(entry.folder / "metrics.jsonl"),
    }
    if loop.compilation is not None:
        result["compilation"] = loop.compilation.model_dump()
    sealed_json.write(entry.folder / RESULT, result)


def _score_snapshots(context: JobContext, entry: PlannedStage, stop: Callable[[], bool]) -> None:
    """Writes how good every snapshot looks on the target's training images, without their labels."""
    items = label_free.spread(_shown(context, entry.stage)) if context.task.setting == "uda" else []
    found: dict[str, dict[int, float]] = {}
    due = snapshots.due(entry.stage.settings.iterations) if items else []
    with Progress.of_parent(context.folder, f"{entry.stage.name}: snapshots") as progress:
        asked = progress.while_asking(stop)
        for number, iterations in enumerate(due):
            progress.report(number, len(due))
            method = filled_method(context.task, entry.stage, snapshots.file_of(entry.snapshots, iterations))
            for rule, value in label_free.scores(method, items, context.device, asked).items():
                found.setdefault(rule, {})[iterations] = value
    sealed_json.write(label_free_file(entry, context), found)


def _shown(context: JobContext, stage: Stage) -> list[Item]:
    """The target's training images, as a test sees them."""
    return [
        (name, image.dataset, image.sample, context.input_size(image.ref.dataset, stage.settings.resolution))
        for name, image in target_images(context).items()
    ]


def _take(context: JobContext, entry: PlannedStage, outside: Outside) -> None:
    """Keeps a network from elsewhere as the weights of the stage; its code sees neither source nor labels."""
    put_out_of_reach(context, (), outside, closed=context.source_folders)
    if context.spec.start is None:
        raise PluginError(f"The stage {entry.stage.name!r} is to be given a network, and the job names none.")
    method = filled(context.spec.start, entry.stage, context.task, context.out)
    firewall.require_intact()
    state, facts = method_state.written_state(method, method_state.full_state(method))
    checkpoint.save(entry.last_weights, state, {**facts, "stage": entry.hash})
    cost = {"seconds": 0.0, "peak_memory_mib": peak_memory(context.device)}
    sealed_json.write(entry.folder / RESULT, cost)


def _label(context: JobContext, entry: PlannedStage, stop: Callable[[], bool], outside: Outside) -> None:
    """Labels every target training image with the network of the stage it starts from."""
    if entry.start is None or entry.stage.labeller is None:
        raise PluginError(f"The labelling stage {entry.stage.name!r} needs a stage to start from.")
    shown = _shown(context, entry.stage)
    put_out_of_reach(context, [sample.image for _, _, sample, _ in shown], outside)
    started = time.monotonic()
    method = build_method(context, entry, stage_seed(entry.hash)).to(context.device)
    kept = PseudoLabels(entry.folder)
    with Progress.of_parent(context.folder, entry.stage.name) as progress:
        label_images(method, entry.stage.labeller, shown, kept, progress.report, stop)
    firewall.require_intact()
    cost = {"seconds": time.monotonic() - started, "peak_memory_mib": peak_memory(context.device)}
    sealed_json.write(entry.folder / RESULT, cost)


def _count_classes(
    context: JobContext, stage: Stage, stream: TrainingStream, stop: Callable[[], bool]
) -> None:
    """Counts the classes in all labels that are trained on, unless that was done before, by several processes."""
    with Progress.of_parent(context.folder, f"{stage.name}: class statistics") as progress:

        def over(work: Callable[[LabelledItem], Found], items: Sequence[LabelledItem]) -> Iterator[Found]:
            for done, found in enumerate(each(work, items, context.spec.workers), start=1):
                progress.report(done, len(items))
                if stop():
                    raise InterruptedTrainingError("Stopped while classes were counted; run again to go on.")
                yield found

        stream.count_classes(over)


def _image_cache(context: JobContext) -> ImageCache | None:
    """Where decoded images are kept, if anywhere."""
    if context.spec.image_cache is None:
        return None
    return ImageCache(Path(context.spec.image_cache), say)


def _keep_ranking(context: JobContext, entry: PlannedStage, kept: PseudoLabels) -> None:
    """Writes which pseudo-labelled images the training uses, in the order of its method, for people to look at."""
    images = {name: partial(p.dataset.read_image, p.sample) for name, p in target_images(context).items()}
    title = f"{entry.stage.method.title} · {context.spec.board} · seed {context.spec.seed}"
    entries = kept.entries()
    facts = {name: known.facts for name, known in entries.items()}
    ranking = Ranking(*entry.stage.method.partition(entry.stage.settings, facts), entries)
    write_table(ranking, entry.folder / TABLE)
    draw_sheet(ranking, kept, images, context.task.class_set, title, entry.folder / SHEET)


def _debug_images(context: JobContext, stage: Stage) -> list[Hook]:
    """The hook that draws them, if they are asked for; a job of several stages has a folder for each."""
    spec = context.spec
    if spec.debug_pictures is None:
        return []
    several = len(context.method.stages(context.method.Settings.model_validate(spec.settings))) > 1
    folder = context.folder / "debug" / (stage.name if several else "")
    title = f"{stage.method.title} · {spec.board} · seed {spec.seed}"
    return [DebugImages(spec.debug_pictures, folder, title)]
