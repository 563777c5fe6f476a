"""The result of scoring one checkpoint on one split outside of a job: one validated, versioned JSON document."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from adaptbench.data.units import later
from adaptbench.records import documents
from adaptbench.records.documents import Part, Unreadable
from adaptbench.records.record import NetworkInfo, Score

SCHEMA_VERSION = 2


class Origin(Part):
    """Where a checkpoint comes from.

    Attributes:
        kind: of other authors, for a network of ours or for one of a ``file`` of theirs, or trained here.
        weights: ``student`` or ``teacher`` of an imported file; ``last iterate`` of a run; ``all`` of a file.
        source: the name of the file of weights, or the run's benchmark.
    """

    kind: Literal["imported", "file", "run"]
    weights: str
    source: str
    source_sha256: str | None = None
    seed: int | None = None
    job_hash: str | None = None


class Evaluation(Part):
    """One checkpoint on one split. ``seconds`` and ``environment`` may differ between two equal evaluations."""

    schema_version: int = SCHEMA_VERSION
    #: Of everything that decides the score.
    evaluation_hash: str
    checkpoint: str
    origin: Origin
    method: str
    method_title: str
    method_version: int
    paper: str | None
    #: True where target labels were used for training.
    oracle: bool
    #: True where training or evaluation were cut short by ``--limit``.
    smoke: bool
    profile: str
    network: NetworkInfo
    settings: dict[str, Any]
    overrides: dict[str, Any]
    #: Scoring rules, see `adaptbench.contracts.benchmark.Protocol`.
    protocol: dict[str, Any]
    #: Provenance and version of the scored dataset.
    data: dict[str, Any]
    score: Score
    #: Mean over the averaged classes of the share of their pixels that is right, percent; None in version 1.
    class_accuracy: float | None = None
    weights_sha256: str
    device: str
    seconds: float
    environment: dict[str, str]
    #: How the network adapted to the images as it predicted them: method, settings, order; None = not at all.
    adaptation: dict[str, Any] | None = later(None)


def file_of(out: Path, checkpoint: str, split: str, evaluation_hash: str) -> Path:
    """``OUT/evaluations/CHECKPOINT/DATASET-SPLIT-HASH8.json``."""
    return out / "evaluations" / checkpoint / f"{split.replace('/', '-')}-{evaluation_hash[:8]}.json"


def save_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Writes ``evaluation`` atomically."""
    documents.write(evaluation, path)


def load_evaluation(path: Path) -> Evaluation:
    """Reads and validates an evaluation."""
    return documents.read(Evaluation, path, "an evaluation", "Delete it to score again.")


def scan_evaluations(out: Path) -> tuple[list[Evaluation], list[Unreadable]]:
    """Every evaluation in a results folder, in a fixed order; files that cannot be read are listed, never raised."""
    found, unreadable = documents.read_all((out / "evaluations").glob("*/*.json"), out, load_evaluation)
    return sorted(found, key=lambda e: (e.checkpoint, e.score.split, e.evaluation_hash)), unreadable
