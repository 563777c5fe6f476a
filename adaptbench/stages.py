"""Stages of a job: trained once, kept by their hash, shared by every job that needs the same one."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook

from adaptbench import networks
from adaptbench.benchmark import SplitRef
from adaptbench.data import firewall, sources
from adaptbench.data.pseudo_labels import PseudoLabelled, PseudoLabels, require_known
from adaptbench.data.stream import Domain, Item, TrainingStream
from adaptbench.data.taxonomy import label_map
from adaptbench.dataset import Sample
from adaptbench.errors import AdaptBenchError, PluginError, RunStateError
from adaptbench.jobspec import State, Status, content_hash, load_job, write_status
from adaptbench.launch import processes
from adaptbench.method import Method, Stage, Task
from adaptbench.profiles import profile
from adaptbench.storage import write_text
from adaptbench.training import checkpoint
from adaptbench.training.debug_pictures import DebugPictures
from adaptbench.training.label_pass import label_pictures
from adaptbench.training.loop import (
    InterruptedTrainingError,
    TrainingLoop,
    seed_global_generators,
    stage_seed,
)
from adaptbench.weights.fit import fitted
from adaptbench.workplace import Workplace, open_workplace

_EXIT_FAILED = 1
_EXIT_INTERRUPTED = 130
_STOP_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a job, with its identity.

    Attributes:
        stage: what is trained.
        hash: identity of its weights.
        folder: where they are kept.
        start: the earlier stage whose network it starts from.
        labels: the earlier stage whose pseudo-labels it trains on.
    """

    stage: Stage
    hash: str
    folder: Path
    start: PlannedStage | None
    labels: PlannedStage | None = None

    @property
    def weights(self) -> Path:
        """The final weights."""
        return self.folder / "weights.safetensors"

    @property
    def oracle(self) -> bool:
        """Whether target labels were used, here or in a stage whose network or labels it takes."""
        method = self.stage.method
        here = method.supervision == "target" or "oracle" in method.tags
        return here or any(stage is not None and stage.oracle for stage in (self.start, self.labels))

    @property
    def done(self) -> bool:
        """Whether it is finished."""
        return (self.folder / "result.json").exists()

    def cost(self) -> dict[str, float]:
        """``seconds`` of training over all resumptions and ``peak_memory_mib``, once it is done."""
        facts: dict[str, float] = json.loads((self.folder / "result.json").read_text(encoding="utf-8"))
        return facts


def plan_stages(place: Workplace) -> list[PlannedStage]:
    """The job's stages in order, with their hashes."""
    settings = place.method.Settings.model_validate(place.spec.settings)
    planned: list[PlannedStage] = []
    with firewall.closed(place.closed_folders):
        stages = place.method.stages(settings)
    for stage in stages:
        start = None if stage.start is None else planned[stage.start]
        labels = None if stage.labels is None else planned[stage.labels]
        entry = PlannedStage(stage, "", place.out / "stages", start, labels)
        stage_hash = content_hash(_identity(place, entry))
        planned.append(replace(entry, hash=stage_hash, folder=entry.folder / stage_hash))
    return planned


def run_all(place: Workplace, stop: Callable[[], bool]) -> list[PlannedStage]:
    """Runs every stage of the job that is not finished yet, in order, and returns them all.

    Raises:
        InterruptedTrainingError: asked to stop; the running stage is saved.
        RunStateError: a training failed; its traceback is in the job's folder.
    """
    planned = plan_stages(place)
    for index, entry in enumerate(planned):
        entry.folder.mkdir(parents=True, exist_ok=True)
        _link(place.folder / "stages" / entry.stage.name, entry.folder)
        write_status(place.folder, Status(state=State.RUNNING, stage=entry.stage.name))
        with processes.locked(entry.folder / ".lock", stop):
            if not entry.done:
                _sweep(entry.folder)
                identity = json.dumps(_identity(place, entry), indent=1, sort_keys=True)
                write_text(entry.folder / "stage.json", identity + "\n")
                _train_in_child(place, index, entry, stop)
    return planned


def _identity(place: Workplace, entry: PlannedStage) -> dict[str, Any]:
    """Everything that decides the result of a stage; the name of the method that asks is not part of it."""
    stage, start = entry.stage, entry.start
    target = place.benchmark.target if stage.method.uses_target_images else ()
    labelled = _labelled_refs(place, stage) if entry.labels is None else place.benchmark.target
    spec = place.spec
    found = networks.start_of(stage.settings.network, stage.settings.pretraining)
    return {
        "training": [stage.method.name, stage.method.version],
        "settings": stage.settings.model_dump(mode="json"),
        "start": None if start is None else start.hash,
        "start_weights": None if found is None else found.identity(),
        "class_set": place.benchmark.class_set,
        "setting": place.benchmark.setting,
        "labelled": {str(r): spec.data[r.dataset].identity() for r in labelled},
        "target": {str(r): spec.data[r.dataset].identity() for r in target},
        "scale": place.task.profile.scale,
        "seed": spec.seed,
        "limit": spec.limit,
        "threads": spec.threads,
        "device": spec.device,
        **({} if entry.labels is None else {"pseudo_labels": entry.labels.hash}),
        **({} if stage.labeller is None else stage.labeller.identity()),
    }


def _train_in_child(place: Workplace, index: int, entry: PlannedStage, stop: Callable[[], bool]) -> None:
    """Trains in a child process, which the firewall seals for good; this process stays free to evaluate.

    The child is forked, which saves importing torch again; CUDA does not survive a fork.
    """
    (place.folder / "reason.txt").unlink(missing_ok=True)
    context = multiprocessing.get_context("fork" if place.device.type == "cpu" else "spawn")
    child = context.Process(target=_child, args=(place.folder, index, os.getpid()))  # type: ignore[attr-defined]
    child.start()
    while child.is_alive():
        child.join(_STOP_POLL_SECONDS)
        if stop():  # asked of us alone, or before the child could listen
            child.terminate()
    if stop() and child.exitcode in (_EXIT_INTERRUPTED, -signal.SIGTERM):
        raise InterruptedTrainingError("Stopped during training; run again to go on.")
    if child.exitcode != 0 or not entry.done:
        raise RunStateError(_failure(place.folder, child.exitcode))


def _failure(folder: Path, code: int | None) -> str:
    try:
        return (folder / "reason.txt").read_text(encoding="utf-8")
    except OSError:
        killed = f"killed by signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        return f"The training process ended without a word ({killed}); out of memory is a common cause."


def _child(folder: Path, index: int, parent: int) -> None:
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
        os._exit(_EXIT_INTERRUPTED)
    except BaseException as error:
        text = str(error) if isinstance(error, AdaptBenchError) else f"{type(error).__name__}: {error}"
        (folder / "reason.txt").write_text(text, encoding="utf-8")
        (folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(_EXIT_FAILED)


def _train(place: Workplace, entry: PlannedStage, stop: Callable[[], bool]) -> None:
    stage, chosen = entry.stage, profile(place.spec.profile)
    seed = stage_seed(entry.hash)
    sampling = stage.method.sampling(stage.settings)
    normalisation = networks.spec(stage.settings.network).normalisation
    data = training_data(place, stage, entry.labels)
    stream = TrainingStream(*data, stage.settings, seed, sampling, normalisation)
    seal(place, stream)
    method = build_method(place, entry, seed)
    if place.spec.activation_checkpointing:
        networks.checkpoint_activations(method.student)
    loop = TrainingLoop(
        method,
        stream,
        entry.folder,
        device=place.device,
        workers=chosen.workers,
        checkpoint_every=min(chosen.checkpoint_every, max(1, len(stream) // 4)),
        hooks=_debug_pictures(place, stage),
        report=_reporter(place.folder, stage.name),
        should_stop=stop,
    )
    loop.run()
    firewall.require_intact()
    state = {f"method.{name}": tensor for name, tensor in loop.model.state_dict().items()}
    checkpoint.save(entry.weights, state, {"stage": entry.hash, "iterations": loop.iter})
    cost = {"seconds": loop.seconds, "peak_memory_mib": _peak_memory(place)}
    write_text(entry.folder / "result.json", json.dumps(cost) + "\n")
    loop.checkpoint_file.unlink(missing_ok=True)


def _label(place: Workplace, entry: PlannedStage, stop: Callable[[], bool]) -> None:
    """Labels every target training picture with the network of the stage it starts from."""
    if entry.start is None or entry.stage.labeller is None:
        raise PluginError(f"The labelling stage {entry.stage.name!r} needs a stage to start from.")
    firewall.seal(place.closed_folders)
    started = time.monotonic()
    resolution = entry.stage.settings.resolution
    items = [
        (_name(ref, sample), place.datasets[ref.dataset], sample, place.input_size(ref.dataset, resolution))
        for ref in place.benchmark.target
        for sample in _samples(place, ref)
    ]
    method = build_method(place, entry, stage_seed(entry.hash)).to(place.device)
    report = _reporter(place.folder, entry.stage.name)
    label_pictures(method, entry.stage.labeller, items, PseudoLabels(entry.folder), report, stop)
    firewall.require_intact()
    cost = {"seconds": time.monotonic() - started, "peak_memory_mib": _peak_memory(place)}
    write_text(entry.folder / "result.json", json.dumps(cost) + "\n")


def _debug_pictures(place: Workplace, stage: Stage) -> list[Hook]:
    """The hook that draws them, if they are asked for; a job of several stages has a folder for each."""
    spec = place.spec
    if spec.debug_pictures is None:
        return []
    several = len(place.method.stages(place.method.Settings.model_validate(spec.settings))) > 1
    folder = place.folder / "debug" / (stage.name if several else "")
    title = f"{stage.method.title} · {spec.board} · seed {spec.seed}"
    return [DebugPictures(spec.debug_pictures, folder, title)]


def build_method(place: Workplace, entry: PlannedStage, seed: int) -> Method:
    """The method with initial weights drawn from ``seed``, or the network of the stage it starts from.

    Raises:
        WeightsError: that stage trains another network.
    """
    seed_global_generators(seed)
    method = entry.stage.method(place.task, entry.stage.settings)
    if entry.start is not None:
        earlier = trained_method(place, entry.start).scored_network().state_dict()
        title = f"stage {entry.stage.name!r}, which starts from it and trains {entry.stage.settings.network}"
        state = fitted(earlier, method.student.state_dict(), entry.start.weights, title)
        method.student.load_state_dict(state)
    return method


def trained_method(place: Workplace, entry: PlannedStage) -> Method:
    """The method with the final weights of a finished stage."""
    return filled_method(place.task, entry.stage, entry.weights)


def filled_method(task: Task, stage: Stage, weights: Path) -> Method:
    """The method of ``stage`` with the final weights in a file."""
    settings = stage.settings.model_copy(update={"pretraining": "none"})  # all weights follow
    method = stage.method(task, settings)
    tensors = {name.removeprefix("method."): tensor for name, tensor in checkpoint.load(weights)[0].items()}
    method.load_state_dict(fitted(tensors, method.state_dict(), weights, f"the method {method.name}"))
    return method


def training_data(
    place: Workplace, stage: Stage, labels: PlannedStage | None = None
) -> tuple[Domain, Domain | None]:
    """Labelled and unlabelled domain of ``stage``, which may train on the pseudo-labels of an earlier one."""
    if labels is not None:
        return _pseudo_labelled(place, stage, PseudoLabels(labels.folder))
    labelled = _domain(place, stage, _labelled_refs(place, stage), labelled=True)
    if not stage.method.uses_target_images:
        return labelled, None
    return labelled, _domain(place, stage, place.benchmark.target, labelled=False)


def seal(place: Workplace, stream: TrainingStream) -> None:
    """Puts all labels out of reach of this process, and in DG all target pictures, except what it trains on."""
    samples = [sample for _, sample, _, _ in stream.labelled.items]
    firewall.seal(place.closed_folders, [path for sample in samples for path in (sample.image, sample.label)])


def _labelled_refs(place: Workplace, stage: Stage) -> tuple[SplitRef, ...]:
    return place.benchmark.target if stage.method.supervision == "target" else place.benchmark.source


def _pseudo_labelled(place: Workplace, stage: Stage, labels: PseudoLabels) -> tuple[Domain, Domain | None]:
    """The target's pictures with pseudo-labels, and without, as far as the method wants them.

    Raises:
        DataError: a pseudo-label is missing or of another size, or the method chooses no or unknown pictures.
    """
    pictures = {_name(ref, s): (ref, s) for ref in place.benchmark.target for s in _samples(place, ref)}
    facts = {name: entry.facts for name, entry in labels.entries().items()}
    with firewall.closed(place.closed_folders):
        labelled, unlabelled = stage.method.partition(stage.settings, facts)
    require_known(stage.method.name, pictures, labelled, unlabelled)
    labels.require(labelled)
    identity = np.arange(256, dtype=np.uint8)

    def item(name: str, predicted: bool) -> Item:
        ref, sample = pictures[name]
        dataset, size = place.datasets[ref.dataset], place.input_size(ref.dataset, stage.settings.resolution)
        if predicted:
            return PseudoLabelled(dataset), replace(sample, label=labels.file(name)), size, identity
        return dataset, sample, size, None

    source = Domain([item(name, True) for name in pictures if name in labelled], predicted=True)
    if not stage.method.uses_target_images:
        return source, None
    return source, Domain([item(name, False) for name in pictures if name in unlabelled])


def _samples(place: Workplace, ref: SplitRef) -> list[Sample]:
    """The pictures of a split that this job uses."""
    samples = place.datasets[ref.dataset].usable(ref.split)
    return samples[: sources.cap(len(samples), place.spec.limit)]


def _name(ref: SplitRef, sample: Sample) -> str:
    """Name of a picture among those of all splits."""
    return f"{ref.dataset}-{ref.split}/{sample.name}"


def _domain(place: Workplace, stage: Stage, refs: tuple[SplitRef, ...], *, labelled: bool) -> Domain:
    items: list[Item] = []
    for ref in refs:
        dataset = place.datasets[ref.dataset]
        samples = _samples(place, ref)
        if labelled:
            sources.require_labels(dataset, ref.split, samples)
        table = label_map(dataset.id_space, place.benchmark.class_set) if labelled else None
        size = place.input_size(ref.dataset, stage.settings.resolution)
        items += [(dataset, sample, size, table) for sample in samples]
    return Domain(items)


def _reporter(folder: Path, stage: str) -> Callable[..., None]:
    """Writes the job's status on behalf of its process, our parent; at most twice a second."""
    job, last = os.getppid(), 0.0

    def report(iteration: int, total: int, loss: float | None = None) -> None:
        nonlocal last
        if time.monotonic() - last > 0.5:
            last = time.monotonic()
            running = Status(
                state=State.RUNNING, stage=stage, iteration=iteration, total=total, loss=loss, pid=job
            )
            write_status(folder, running)

    return report


def _peak_memory(place: Workplace) -> float:
    if place.device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _sweep(folder: Path) -> None:
    """Removes what a training that was killed while it wrote left behind; the caller holds the stage's lock."""
    for unfinished in folder.glob(".*.tmp"):
        unfinished.unlink(missing_ok=True)


def _link(link: Path, folder: Path) -> None:
    """A relative link from the job to its stage, so that the results folder can be moved."""
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(folder, link.parent), target_is_directory=True)
