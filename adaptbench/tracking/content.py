"""What a tracker is told of a job, whatever it keeps it in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from adaptbench.data.taxonomy import CLASS_SETS
from adaptbench.errors import RunStateError
from adaptbench.execution.stages.choice import selection_by, weights_name
from adaptbench.records import curves
from adaptbench.records.confusion_files import Matrix, PerImageConfusion, matrices_file
from adaptbench.records.jobspec import JobSpec, load_job
from adaptbench.records.record import Record, Score
from adaptbench.reporting.board import Board

#: Fields of a job, and of a record, that make up the configuration of its run. None holds a path or a key.
_OF_JOB = ("method", "profile", "seed", "settings", "settings_origin", "overrides", "ranking")
_OF_RECORD = {
    *("method_version", "setting", "iterations", "oracle", "smoke"),
    *("weights_sha256", "network", "data", "environment"),
}
_HASHES = ("job_hash", "group_hash", "ranking_hash")


@dataclass(frozen=True)
class Identity:
    """Which job a run shows, and what was asked for; the same before it starts and when it is done."""

    job_hash: str
    method: str
    benchmark: str
    seed: int
    config: Mapping[str, Any]

    @classmethod
    def of_job(cls, spec: JobSpec) -> Identity:
        """From a job that may not have started."""
        config = spec.model_dump(mode="json", include={*_OF_JOB, *_HASHES})
        return cls(spec.job_hash, spec.method, spec.board, spec.seed, {"benchmark": spec.board, **config})

    @classmethod
    def of_record(cls, record: Record) -> Identity:
        """From a record alone, for example one that others submitted."""
        config = record.model_dump(mode="json", include={*_OF_JOB, *_HASHES, "benchmark"})
        return cls(record.job_hash, record.method, record.benchmark, record.seed, config)

    @property
    def name(self) -> str:
        """For people; the hash is what counts."""
        return f"{self.method} seed {self.seed}"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names behind the vectors of the curves; none where the class set is not known here."""
        known = CLASS_SETS.get(str(self.config["ranking"].get("class_set")))
        return known.classes if known else ()


@dataclass(frozen=True)
class Finished:
    """Everything there is to show of a finished job: only what is in its folder."""

    record: Record
    folder: Path

    @property
    def config(self) -> dict[str, Any]:
        """What only the record knows."""
        return self.record.model_dump(mode="json", include=_OF_RECORD)

    @property
    def tags(self) -> list[str]:
        """Those of the method, and what kind of run it was."""
        record = self.record
        return list(dict.fromkeys([*record.tags, record.profile, record.setting, *["smoke"] * record.smoke]))

    def confusion(self, score: Score) -> Matrix | None:
        """Counts summed over the images of a split, None if they are gone. Shape: ``(C, C)``; rows are the truth."""
        try:
            total = PerImageConfusion.load(matrices_file(self.folder, score.split)).total()
            return total[: len(score.iou), : len(score.iou)]
        except RunStateError:
            return None

    @property
    def weights(self) -> Path | None:
        """The file with the scored weights, if it is still there."""
        stages = curves.stage_folders(self.folder)
        try:
            spec = load_job(self.folder)
        except RunStateError:
            return None
        if not stages:
            return None
        chosen = None if self.record.snapshots is None else selection_by(spec.ranking["checkpoint"], spec)
        file = stages[-1] / weights_name(chosen)
        return file if file.is_file() else None


def summary(record: Record) -> dict[str, float]:
    """Every score under ``CLASS SET/SPLIT/...`` (percent; absent classes left out) and every cost."""
    found: dict[str, float] = {}
    for score in record.scores:
        prefix = f"{score.class_set}/{score.split}"
        found[f"{prefix}/mIoU"] = score.miou
        found[f"{prefix}/accuracy"] = score.accuracy
        found |= {f"{prefix}/IoU/{name}": iou for name, iou in score.iou.items() if iou is not None}
    cost = record.cost.model_dump(exclude={"device"})
    return found | {f"cost/{key}": value for key, value in cost.items() if isinstance(value, int | float)}


class Run(Protocol):
    """A job's run in a tracker. Any of these may raise; none may end the process."""

    @property
    def step(self) -> int:
        """The first step that is not there yet."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One line of the training curve."""

    def complete(self, finished: Finished) -> None:
        """Scores, tables, images and files of the finished job."""

    def close(self, ok: bool) -> None:
        """Nothing more comes; ``ok`` if the job is done."""


class Tracker(Protocol):
    """Something that keeps runs."""

    #: For messages.
    name: str
    #: Where its files lie.
    folder: Path

    def open(self, identity: Identity) -> Run:
        """The run of a job, a new one or the one that is there."""

    def leaderboard(self, boards: Sequence[Board]) -> None:
        """The ranked tables."""
