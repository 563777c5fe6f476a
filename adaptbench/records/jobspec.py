"""What a job is: the validated content of its ``job.json``, and its state on disk."""

from __future__ import annotations

import hashlib
import json
import os
import time
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from adaptbench.contracts.keeping import KEEP_ALL, KeepWeights
from adaptbench.contracts.precision import FLOAT32, Precision
from adaptbench.contracts.profiles import Provenance
from adaptbench.data.units import later
from adaptbench.records import documents
from adaptbench.records.documents import Part
from adaptbench.records.start import Start
from adaptbench.storage.atomic import write_note
from adaptbench.storage.claims import Watch
from adaptbench.storage.plain_files import read_text

SCHEMA_VERSION = 2
#: Units: bytes.
_LARGEST_STATUS = 1 << 20


class State(StrEnum):
    """State of a job."""

    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"
    TIMEOUT = "timeout"
    WAITING = "waiting"


class DataSource(Part):
    """Where one dataset of a job lies, and which version it is.

    Attributes:
        root: the dataset's folder; not part of any hash.
        provenance: ``generated`` or ``official``.
        version: fingerprint of the generated world, or digest of the list of official images.
        dials: the world's dials, for generated data.
        counts: images per split, for generated data.
    """

    root: str
    provenance: Provenance
    version: str
    dials: dict[str, Any] = Field(default={})
    counts: dict[str, int] = Field(default={})

    def identity(self) -> dict[str, Any]:
        """What of it may change a result."""
        return {"provenance": self.provenance, "version": self.version, **self.dials}


class JobSpec(Part):
    """One method on one benchmark with one seed, fully resolved."""

    schema_version: int = SCHEMA_VERSION
    job_hash: str
    group_hash: str
    ranking_hash: str
    ranking: dict[str, Any]
    method: str
    benchmark: str
    #: Name in results: prefixed with ``minicity/`` where the scored target is generated.
    board: str
    profile: str
    seed: int
    limit: int | None
    device: str
    threads: int
    settings: dict[str, Any]
    settings_origin: str
    overrides: dict[str, Any]
    data: dict[str, DataSource]
    #: Splits (``dataset/split``) that are scored beside the benchmark's own, where their data is there; in no hash.
    also: dict[str, DataSource] = Field(default={})
    #: Iterations from one debug image to the next; in no hash.
    debug_pictures: int | None = None
    #: Whether encoders recompute their activations, with the same bits; in no hash.
    activation_checkpointing: bool = False
    #: Folder of decoded images, whose pixels are those of their files; in no hash.
    image_cache: str | None = None
    #: Processes that train together, each on a device of its own, of one batch as on one device; in no hash.
    devices: int = 1
    #: What stays of its stages once it is done; in no hash.
    keep_weights: KeepWeights = KEEP_ALL
    #: Processes that load data beside a training, and threads beside a scoring; in no hash.
    workers: int = 0
    #: Number format of the networks while they train.
    precision: Precision = FLOAT32
    #: Whether the networks are compiled then.
    compiled: bool = False
    #: Parts in which they compute every batch of a step, one after the other.
    accumulate: int = 1
    #: The network that is given in the place of a training, if one is.
    start: Start | None = later(None)
    #: Plug-in paths given with --plugins, needed to find the method again.
    plugins: list[str]

    @property
    def class_set(self) -> str:
        """Name of the class set that is trained and scored, as benchmark and protocol say."""
        return str(self.ranking["class_set"])


class Status(BaseModel):
    """A job's ``status`` file: where it stands and, if it failed, why."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    state: State
    stage: str = ""
    iteration: int = 0
    total: int = 0
    loss: float | None = None
    miou: float | None = None
    #: Class set and split behind ``miou``.
    scored: str = ""
    reason: str = ""
    #: Hash of the stage that a waiting job needs and another one trains.
    waits_for: str = ""
    pid: int = 0
    updated: float = 0.0


def content_hash(content: Any) -> str:
    """First 16 hex digits of the sha256 of canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def job_folder(out: Path, board: str, method: str, seed: int, job_hash: str) -> Path:
    """``OUT/runs/<board>/<method>/<seed>-<hash8>``."""
    return out / "runs" / board / method / f"{seed}-{job_hash[:8]}"


def results_of(job: Path) -> Path:
    """The results folder that the folder of a job, or of an import, lies in; itself where it stands alone."""
    place = Path(os.path.realpath(job))
    return next((one.parent for one in place.parents if one.name in ("runs", "imported")), place)


def predictions_folder(job: Path, split: str) -> Path:
    """Where a job keeps predictions on ``split`` (``dataset/split``), as images of train ids."""
    return job / "pictures" / split.replace("/", "-", 1)


def write_status(folder: Path, status: Status) -> None:
    """Writes ``status`` atomically, stamped with the time and, unless it names one, with this process."""
    stamped = status.model_copy(update={"pid": status.pid or os.getpid(), "updated": time.time()})
    write_note(folder / "status", stamped.model_dump_json() + "\n")


def read_status(folder: Path, watch: Watch | None = None) -> Status:
    """The status of a job folder. A running job that nobody has counts as interrupted, or done with a record.

    ``watch`` remembers from one call to the next what it saw of the holders.
    """
    status = _written_status(folder)
    if status.state is not State.RUNNING or (watch or Watch()).held(folder):
        return status
    status = _written_status(folder)  # it may have ended between the two
    if status.state is not State.RUNNING:
        return status
    if (folder / "record.json").exists():
        return status.model_copy(update={"state": State.DONE})
    return status.model_copy(
        update={"state": State.INTERRUPTED, "reason": "its process ended without a word"}
    )


def _written_status(folder: Path) -> Status:
    try:
        return Status.model_validate_json(read_text(folder / "status", _LARGEST_STATUS))
    except FileNotFoundError:
        return Status(state=State.PLANNED)
    except (OSError, ValueError) as error:  # a ValidationError is one
        reason = " ".join(str(error).split())
        return Status(state=State.FAILED, reason=f"unreadable status file {folder / 'status'}: {reason}")


def save_job(spec: JobSpec, folder: Path) -> None:
    """Writes ``job.json`` atomically."""
    documents.write(spec, folder / "job.json")


def load_job(folder: Path) -> JobSpec:
    """Reads ``job.json``."""
    remedy = "Delete its folder to start it again."
    return documents.read(JobSpec, folder / "job.json", "a job file", remedy)
