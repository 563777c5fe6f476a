"""Scores the trained network of a job on every evaluation split and builds its record."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import cv2

from adaptbench import networks, plugins
from adaptbench.benchmark import SplitRef
from adaptbench.data import firewall, sources
from adaptbench.dataset import Sample
from adaptbench.evaluation.metrics import score
from adaptbench.evaluation.scorer import Scorer, UInt8
from adaptbench.jobspec import State, Status, write_status
from adaptbench.reporting.pseudo_labels import summarise
from adaptbench.reporting.record import Cost, NetworkInfo, Record, Score
from adaptbench.stages import PlannedStage, trained_method
from adaptbench.storage import replacing
from adaptbench.training import checkpoint
from adaptbench.workplace import Workplace

#: Predictions of this many pictures per split are kept for the report.
PICTURES = 4

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
        scores: one per evaluation split.
        weights_sha256: identity of the scored weights.
        parameters: number of parameters of the scored network.
        seconds: time it took.
    """

    scores: list[Score]
    weights_sha256: str
    parameters: int
    seconds: float


def run(place: Workplace, result: PlannedStage, stop: Callable[[], bool]) -> Scored:
    """Scores the network of the last stage; keeps one confusion matrix per picture in ``confusion/``.

    Raises:
        InterruptedTrainingError: asked to stop.
        DataError: labels are missing (says how many), or a picture or label cannot be used.
    """
    started = time.monotonic()
    splits = {ref: scored_samples(place, ref) for ref in evaluation_splits(place)}
    with firewall.closed(place.closed_folders):
        method = trained_method(place, result)
    scorer = Scorer(method, result.stage.settings, place.device, place.closed_folders, stop)
    scores = [_score(place, scorer, ref, samples) for ref, samples in splits.items()]
    firewall.require_intact()
    return Scored(
        scores=scores,
        weights_sha256=checkpoint.digest(scorer.network.state_dict()),
        parameters=sum(p.numel() for p in scorer.network.parameters()),
        seconds=time.monotonic() - started,
    )


def evaluation_splits(place: Workplace) -> list[SplitRef]:
    """The splits that exist in this job's data; the first is ranked."""
    data = place.spec.data
    return [
        ref
        for ref in place.benchmark.evaluation
        if not ref.generated_only or data[ref.dataset].provenance == "generated"
    ]


def build_record(place: Workplace, results: list[PlannedStage], scored: Scored) -> Record:
    """The job's record."""
    spec, method, benchmark = place.spec, place.method, place.benchmark
    settings = results[-1].stage.settings
    start = networks.start_of(settings.network, settings.pretraining)
    cost = Cost(
        training_seconds=sum(result.cost()["seconds"] for result in results),
        evaluation_seconds=scored.seconds,
        peak_memory_mib=max(result.cost()["peak_memory_mib"] for result in results),
        device=spec.device,
    )
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
            pretraining="none" if start is None else start.data,
            weights=results[-1].stage.method.scored_weights,
        ),
        iterations=sum(r.stage.settings.iterations for r in results if r.stage.labeller is None),
        settings=spec.settings,
        settings_origin=spec.settings_origin,
        overrides=spec.overrides,
        data={name: source.identity() for name, source in sorted(spec.data.items())},
        scores=scored.scores,
        pseudo_labels=summarise(
            results[-1].folder / "metrics.jsonl", settings.iterations, place.task.class_set.classes
        ),
        weights_sha256=scored.weights_sha256,
        cost=cost,
        environment=environment(),
    )


def environment() -> dict[str, str]:
    """Versions and machine, for the record."""
    versions = {name: metadata.version(name) for name in _VERSIONS if _installed(name)}
    commit = _commit()
    return {"python": platform.python_version(), "machine": platform.machine(), **versions, **commit}


def scored_samples(place: Workplace, ref: SplitRef) -> list[Sample]:
    """The pictures of ``ref`` that are scored; all of them have a label file.

    Raises:
        DataError: labels are missing.
    """
    dataset = place.datasets[ref.dataset]
    samples = dataset.usable(ref.split)
    samples = samples[: sources.cap(len(samples), place.spec.limit)]
    sources.require_labels(dataset, ref.split, samples)
    return samples


def _score(place: Workplace, scorer: Scorer, ref: SplitRef, samples: Sequence[Sample]) -> Score:
    """Scores one split; keeps its matrices and the first predictions, and says how far it is."""
    name = f"{ref.dataset}-{ref.split}"

    def tell(sample: Sample, number: int, prediction: UInt8) -> None:
        if number < PICTURES:
            _keep(prediction, place.folder / "pictures" / name / f"{sample.name}.png")
        if number % 10 == 0:
            status = Status(state=State.RUNNING, stage=f"score {ref}", iteration=number, total=len(samples))
            write_status(place.folder, status)

    confusion = scorer.confusion(place.datasets[ref.dataset], samples, tell)
    confusion.save(place.folder / "confusion" / f"{name}.npz")
    return score(
        confusion.total(),
        place.task.class_set,
        split=str(ref),
        provenance=place.spec.data[ref.dataset].provenance,
        images=len(samples),
    )


def _keep(prediction: UInt8, path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", prediction)[1].tobytes())


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _commit() -> dict[str, str]:
    """The checkout's commit, where there is one."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(plugins.ROOT), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": answer.stdout.strip()}
