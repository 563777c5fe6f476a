"""Stages of a job: trained once, kept by their hash, shared by every job that needs the same one."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from adaptbench.benchmark import SplitRef
from adaptbench.data import firewall, sources
from adaptbench.data.stream import Domain, TrainingStream
from adaptbench.data.taxonomy import label_map
from adaptbench.errors import AdaptBenchError, RunStateError
from adaptbench.jobspec import State, Status, content_hash, write_status
from adaptbench.launch import processes
from adaptbench.method import Method, Stage
from adaptbench.profiles import profile
from adaptbench.storage import write_text
from adaptbench.training import checkpoint
from adaptbench.training.loop import Interrupted, TrainingLoop, load_method, stage_seed
from adaptbench.workplace import Workplace

_EXIT_FAILED = 1
_EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class StageResult:
    """A finished stage.

    Attributes:
        stage: what was trained.
        hash: its identity.
        folder: where its weights are.
        seconds: training time, over all resumptions.
        peak_memory_mib: largest memory use seen.
        oracle: whether target labels were used, here or in the stage it starts from.
    """

    stage: Stage
    hash: str
    folder: Path
    seconds: float
    peak_memory_mib: float
    oracle: bool

    @property
    def weights(self) -> Path:
        """The final weights."""
        return self.folder / "weights.safetensors"


def run_all(place: Workplace, stop: Callable[[], bool]) -> list[StageResult]:
    """Runs every stage of the job that is not finished yet, in order.

    Raises:
        Interrupted: asked to stop; the running stage is saved.
        RunStateError: a training failed; its traceback is in the job's folder.
    """
    results: list[StageResult] = []
    settings = place.method.Settings.model_validate(place.spec.settings)
    for stage in place.method.stages(settings):
        start = None if stage.start is None else results[stage.start]
        results.append(_run(place, stage, start, stop))
    return results


def stage_identity(place: Workplace, stage: Stage, start: StageResult | None) -> dict[str, Any]:
    """Everything that decides the weights of ``stage``; the name of the method that asks is not part of it."""
    refs = [*_labelled_refs(place, stage), *(place.benchmark.target if stage.method.uses_target_images else ())]
    spec = place.spec
    return {
        "training": [stage.method.name, stage.method.version],
        "settings": stage.settings.model_dump(mode="json"),
        "start": None if start is None else start.hash,
        "class_set": place.benchmark.class_set,
        "setting": place.benchmark.setting,
        "data": {str(ref): spec.data[ref.dataset].identity() for ref in refs},
        "supervision": stage.method.supervision,
        "scale": place.task.profile.scale,
        "seed": spec.seed,
        "limit": spec.limit,
        "threads": spec.threads,
        "device": spec.device,
    }


def _run(place: Workplace, stage: Stage, start: StageResult | None, stop: Callable[[], bool]) -> StageResult:
    identity = stage_identity(place, stage, start)
    stage_hash = content_hash(identity)
    folder = place.out / "stages" / stage_hash
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        if not (folder / "result.json").exists():
            write_text(folder / "stage.json", json.dumps(identity, indent=1, sort_keys=True) + "\n")
            _train_in_child(place, stage, start, stage_hash, folder)
    _link(place.folder / "stages" / stage.name, folder)
    if stop():
        raise Interrupted("Stopped after a stage; run again to go on.")
    facts = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    oracle = "oracle" in stage.method.tags or (start is not None and start.oracle)
    return StageResult(stage, stage_hash, folder, facts["seconds"], facts["peak_memory_mib"], oracle)


def _train_in_child(
    place: Workplace, stage: Stage, start: StageResult | None, stage_hash: str, folder: Path
) -> None:
    """Trains in a forked child, which the firewall seals for good; this process stays free to evaluate."""
    context = multiprocessing.get_context("fork" if place.device.type == "cpu" else "spawn")
    child = context.Process(target=_child, args=(place, stage, start, stage_hash, folder))
    child.start()
    while child.is_alive():
        child.join(timeout=1.0)
    if child.exitcode == _EXIT_INTERRUPTED:
        raise Interrupted("Stopped during training; run again to go on.")
    if child.exitcode != 0:
        raise RunStateError(_failure(place.folder, child.exitcode))


def _failure(folder: Path, code: int | None) -> str:
    try:
        return (folder / "reason.txt").read_text(encoding="utf-8")
    except OSError:
        killed = f"killed by signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        return f"The training process ended without a word ({killed}); out of memory is a common cause."


def _child(place: Workplace, stage: Stage, start: StageResult | None, stage_hash: str, folder: Path) -> None:
    processes.end_with_parent()
    stop = processes.StopFlag()
    (place.folder / "reason.txt").unlink(missing_ok=True)
    try:
        processes.fix_threads(place.spec.threads)
        _train(place, stage, start, stage_hash, folder, stop)
    except Interrupted:
        os._exit(_EXIT_INTERRUPTED)
    except BaseException as error:
        text = str(error) if isinstance(error, AdaptBenchError) else f"{type(error).__name__}: {error}"
        (place.folder / "reason.txt").write_text(text, encoding="utf-8")
        (place.folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
        sys.stderr.flush()
        os._exit(_EXIT_FAILED)


def _train(
    place: Workplace,
    stage: Stage,
    start: StageResult | None,
    stage_hash: str,
    folder: Path,
    stop: Callable[[], bool],
) -> None:
    seed = stage_seed(stage_hash)
    stream = TrainingStream(*training_data(place, stage), stage.settings, seed)
    seal(place, stage, stream)
    method = build_method(place, stage, seed, start)
    chosen = profile(place.spec.profile)
    loop = TrainingLoop(
        method,
        stream,
        folder,
        device=place.device,
        workers=chosen.workers,
        checkpoint_every=chosen.checkpoint_every,
        report=_reporter(place.folder, stage.name),
        should_stop=stop,
    )
    loop.run()
    checkpoint.save(
        folder / "weights.safetensors",
        {f"method.{k}": v for k, v in method.state_dict().items()},
        {"stage": stage_hash, "iterations": loop.iter},
    )
    write_text(folder / "result.json", json.dumps({"seconds": loop.seconds, "peak_memory_mib": _peak_memory(place)}))
    loop.checkpoint_file.unlink(missing_ok=True)


def build_method(place: Workplace, stage: Stage, seed: int, start: StageResult | None = None) -> Method:
    """The method with initial weights drawn from ``seed``, or the network of the stage it starts from."""
    torch.manual_seed(seed)
    method = stage.method(place.task, stage.settings)
    if start is not None:
        earlier = trained_method(place, start)
        method.student.load_state_dict(earlier.scored_network().state_dict())
    return method


def trained_method(place: Workplace, result: StageResult) -> Method:
    """The method with the final weights of a finished stage."""
    method = result.stage.method(place.task, result.stage.settings)
    tensors, _ = checkpoint.load(result.weights)
    load_method(method, tensors)
    return method


def training_data(place: Workplace, stage: Stage) -> tuple[Domain, Domain | None]:
    """Labelled and unlabelled domain of ``stage``."""
    labelled = _domain(place, stage, _labelled_refs(place, stage), labelled=True)
    if not stage.method.uses_target_images:
        return labelled, None
    return labelled, _domain(place, stage, place.benchmark.target, labelled=False)


def seal(place: Workplace, stage: Stage, stream: TrainingStream) -> None:
    """Puts all labels out of reach of this process, except those ``stage`` is trained on."""
    forbidden = [d.root / folder for d in place.datasets.values() for folder in d.label_folders]
    if place.benchmark.setting == "dg":
        refs = [ref for ref in place.benchmark.evaluation if ref not in place.benchmark.source]
        forbidden += [place.datasets[ref.dataset].root for ref in refs]
    firewall.seal(forbidden, {sample.label for _, sample, _, _ in stream.labelled.items})


def _labelled_refs(place: Workplace, stage: Stage) -> tuple[SplitRef, ...]:
    return place.benchmark.target if stage.method.supervision == "target" else place.benchmark.source


def _domain(place: Workplace, stage: Stage, refs: tuple[SplitRef, ...], *, labelled: bool) -> Domain:
    items = []
    for ref in refs:
        dataset = place.datasets[ref.dataset]
        samples = dataset.usable(ref.split)
        samples = samples[: sources.cap(len(samples), place.spec.limit)]
        if labelled:
            sources.require_labels(dataset, ref.split, samples)
        table = label_map(dataset.id_space, place.benchmark.class_set) if labelled else None
        size = place.input_size(ref.dataset, stage.settings.resolution)
        items += [(dataset, sample, size, table) for sample in samples]
    return Domain(items)


def _reporter(folder: Path, stage: str) -> Callable[[int, int, float], None]:
    """Writes the job's status, at most twice a second."""
    last = 0.0

    def report(iteration: int, total: int, loss: float) -> None:
        nonlocal last
        if time.monotonic() - last > 0.5:
            last = time.monotonic()
            status = Status(state=State.RUNNING, stage=stage, iteration=iteration, total=total, loss=loss)
            write_status(folder, status)

    return report


def _peak_memory(place: Workplace) -> float:
    if place.device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _link(link: Path, folder: Path) -> None:
    """A relative link from the job to its stage, so that the results folder can be moved."""
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(folder, link.parent), target_is_directory=True)

