"""The process that trains a stage, or labels pictures with a trained one: out of reach of all labels."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from mmengine.hooks import Hook

from adaptbench import networks
from adaptbench.contracts.method import Stage
from adaptbench.contracts.profiles import profile
from adaptbench.data import firewall
from adaptbench.data.pseudo_labels import PseudoLabels
from adaptbench.data.stream import TrainingStream
from adaptbench.errors import AdaptBenchError, PluginError, RunStateError
from adaptbench.execution.job_context import Workplace, open_workplace
from adaptbench.execution.launch import processes
from adaptbench.execution.stages import ranking_sheet
from adaptbench.execution.stages.data import target_pictures, training_data
from adaptbench.execution.stages.planned import PlannedStage, label_free_file, plan_stages
from adaptbench.execution.stages.progress import Progress
from adaptbench.execution.stages.weights import build_method, filled_method
from adaptbench.records.jobspec import load_job
from adaptbench.storage.atomic import write_text
from adaptbench.training import checkpoint, label_free, snapshots
from adaptbench.training.debug_pictures import DebugPictures
from adaptbench.training.label_pass import Item, label_pictures
from adaptbench.training.loop import InterruptedTrainingError, TrainingLoop, stage_seed

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def main(folder: Path, index: int, parent: int) -> None:
    """Trains stage number ``index`` of the job in ``folder`` and ends the process."""
    processes.end_with_parent(parent)
    stop = processes.StopFlag()
    try:
        spec = load_job(folder)
        processes.fix_threads(spec.threads)
        place = open_workplace(spec, folder)
        entry = plan_stages(place)[index]
        (_train if entry.stage.labeller is None else _label)(place, entry, stop)
    except InterruptedTrainingError:
        os._exit(EXIT_INTERRUPTED)
    except BaseException as error:
        text = str(error) if isinstance(error, AdaptBenchError) else f"{type(error).__name__}: {error}"
        (folder / "reason.txt").write_text(text, encoding="utf-8")
        (folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(EXIT_FAILED)


def _train(place: Workplace, entry: PlannedStage, stop: Callable[[], bool]) -> None:
    stage, chosen = entry.stage, profile(place.spec.profile)
    seed = stage_seed(entry.hash)
    sampling = stage.method.sampling(stage.settings)
    normalisation = networks.spec(stage.settings.network).normalisation
    labels = None if entry.labels is None else PseudoLabels(entry.labels.folder)
    data = training_data(place, stage, labels)
    stream = TrainingStream(*data, stage.settings, seed, sampling, normalisation)
    seal(place, stream)
    if labels is not None:
        _keep_ranking(place, entry, labels)
    method = build_method(place, entry, seed)
    if place.spec.activation_checkpointing:
        networks.checkpoint_activations(method.student)
    folder = entry.folder if entry.selection is None else entry.snapshots
    folder.mkdir(exist_ok=True)
    progress = _progress(place, stage.name)
    loop = TrainingLoop(
        method,
        stream,
        folder,
        device=place.device,
        workers=chosen.workers,
        checkpoint_every=min(chosen.checkpoint_every, max(1, len(stream) // 4)),
        hooks=[*_debug_pictures(place, stage), *([] if entry.selection is None else [snapshots.Snapshots()])],
        report=progress.report,
        should_stop=stop,
    )
    with progress:
        loop.run()
    if entry.selection is not None:
        _score_snapshots(place, entry, stop)
    firewall.require_intact()
    _keep(place, entry, loop)
    loop.checkpoint_file.unlink(missing_ok=True)


def _keep(place: Workplace, entry: PlannedStage, loop: TrainingLoop) -> None:
    """Keeps the last iterate. A training that was repeated for its snapshots must have come to the same one.

    Raises:
        RunStateError: it has not.
    """
    state = loop.model_state()
    if entry.trained:
        if checkpoint.digest(state) != checkpoint.digest(checkpoint.load(entry.last_weights)[0]):
            raise RunStateError(
                f"Trained again for snapshots, {entry.folder} ends with other weights than before: machine or "
                "libraries are others. Use another --out folder, or delete this one."
            )
        return
    checkpoint.save(entry.last_weights, state, {"stage": entry.hash, "iterations": loop.iter})
    metrics = Path(loop.work_dir) / "metrics.jsonl"
    if metrics.exists():
        metrics.replace(entry.folder / "metrics.jsonl")
    cost = {
        "seconds": loop.seconds,
        "peak_memory_mib": _peak_memory(place),
        "joules": loop.energy.joules,
    }
    write_text(entry.folder / "result.json", json.dumps(cost) + "\n")


def _score_snapshots(place: Workplace, entry: PlannedStage, stop: Callable[[], bool]) -> None:
    """Writes how good every snapshot looks on the target's training pictures, without their labels."""
    items = label_free.spread(_shown(place, entry.stage)) if place.task.setting == "uda" else []
    found: dict[str, dict[int, float]] = {}
    due = snapshots.due(entry.stage.settings.iterations) if items else []
    with _progress(place, f"{entry.stage.name}: snapshots") as progress:
        asked = progress.while_asking(stop)
        for number, iterations in enumerate(due):
            progress.report(number, len(due))
            method = filled_method(place.task, entry.stage, snapshots.file_of(entry.snapshots, iterations))
            for rule, value in label_free.scores(method, items, place.device, asked).items():
                found.setdefault(rule, {})[iterations] = value
    write_text(label_free_file(entry, place), json.dumps(found) + "\n")


def _shown(place: Workplace, stage: Stage) -> list[Item]:
    """The target's training pictures, as a test sees them."""
    return [
        (
            name,
            picture.dataset,
            picture.sample,
            place.input_size(picture.ref.dataset, stage.settings.resolution),
        )
        for name, picture in target_pictures(place).items()
    ]


def _label(place: Workplace, entry: PlannedStage, stop: Callable[[], bool]) -> None:
    """Labels every target training picture with the network of the stage it starts from."""
    if entry.start is None or entry.stage.labeller is None:
        raise PluginError(f"The labelling stage {entry.stage.name!r} needs a stage to start from.")
    firewall.seal(place.closed_folders)
    started = time.monotonic()
    method = build_method(place, entry, stage_seed(entry.hash)).to(place.device)
    kept = PseudoLabels(entry.folder)
    with _progress(place, entry.stage.name) as progress:
        label_pictures(method, entry.stage.labeller, _shown(place, entry.stage), kept, progress.report, stop)
    firewall.require_intact()
    cost = {"seconds": time.monotonic() - started, "peak_memory_mib": _peak_memory(place)}
    write_text(entry.folder / "result.json", json.dumps(cost) + "\n")


def seal(place: Workplace, stream: TrainingStream) -> None:
    """Puts all labels out of reach of this process, and in DG all target pictures, except what it trains on."""
    samples = [sample for _, sample, _, _ in stream.labelled.items]
    firewall.seal(place.closed_folders, [path for sample in samples for path in (sample.image, sample.label)])


def _keep_ranking(place: Workplace, entry: PlannedStage, kept: PseudoLabels) -> None:
    """Writes which pseudo-labelled pictures the training uses, in the order of its method, for people to look at."""
    images = {name: partial(p.dataset.read_image, p.sample) for name, p in target_pictures(place).items()}
    title = f"{entry.stage.method.title} · {place.spec.board} · seed {place.spec.seed}"
    chosen = ranking_sheet.of(entry.stage.method.partition, entry.stage.settings, kept.entries())
    ranking_sheet.keep(chosen, kept, images, place.task.class_set, title, entry.folder)


def _debug_pictures(place: Workplace, stage: Stage) -> list[Hook]:
    """The hook that draws them, if they are asked for; a job of several stages has a folder for each."""
    spec = place.spec
    if spec.debug_pictures is None:
        return []
    several = len(place.method.stages(place.method.Settings.model_validate(spec.settings))) > 1
    folder = place.folder / "debug" / (stage.name if several else "")
    title = f"{stage.method.title} · {spec.board} · seed {spec.seed}"
    return [DebugPictures(spec.debug_pictures, folder, title)]


def _progress(place: Workplace, stage: str) -> Progress:
    """Of what is done on behalf of the job's process, our parent."""
    return Progress(place.folder, stage, os.getppid())


def _peak_memory(place: Workplace) -> float:
    if place.device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
