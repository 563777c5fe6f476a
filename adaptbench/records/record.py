"""The record: one validated, versioned JSON document per finished job."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from adaptbench.contracts.precision import FLOAT32, Precision
from adaptbench.data.units import later
from adaptbench.records import documents
from adaptbench.records.compilation import Compilation
from adaptbench.records.documents import Part
from adaptbench.records.jobspec import job_folder

SCHEMA_VERSION = 5


class Score(Part):
    """Scores on one split under one class set; IoU and accuracy in percent.

    Attributes:
        provenance: whether the images scored were generated or official.
        miou: mean IoU over the classes that the protocol averages; `adaptbench.records.average.Average`.
        iou: IoU per class name, in class order; None = the class does not count, by default as it is not in the truth.
        accuracy: IoU's companion: share of labelled pixels that are right.
    """

    split: str
    provenance: Literal["generated", "official"]
    class_set: str
    images: int
    miou: float
    iou: dict[str, float | None]
    accuracy: float


class NetworkInfo(Part):
    """The scored network.

    Attributes:
        pretraining: what its encoder was pretrained on.
        weights: which of a method's weights are scored: those of the student, or an average of them.
    """

    name: str
    parameters: int
    pretraining: str
    weights: str = "student"


class Cost(Part):
    """What the job cost. None = not known here, and in records of version 2.

    Attributes:
        training_seconds: of all trainings.
        evaluation_seconds: of scoring.
        peak_memory_mib: of training; resident on a CPU, allocated on a GPU.
        device: ``cpu`` or ``cuda``.
        flops: of segmenting the first scored image; a multiplication and an addition are two.
        training_pictures_per_second: crops or images of both domains that the trainings see.
        inference_pictures_per_second: of the ranked split, without reading and counting.
        training_joules: of the whole GPU while it trained; of several the first.
        devices: that trained together, at most in one training.
    """

    training_seconds: float
    evaluation_seconds: float
    peak_memory_mib: float
    device: str
    flops: float | None = None
    training_pictures_per_second: float | None = None
    inference_pictures_per_second: float | None = None
    training_joules: float | None = None
    devices: int = 1
    #: Of a network that adapts while it is tested: mean time of an image, prediction and steps, without reading.
    adaptation_seconds_per_image: float | None = later(None)
    #: And peak memory of the process that it does so in: resident on a CPU, allocated on a GPU.
    adaptation_memory_mib: float | None = later(None)


class PseudoLabels(Part):
    """What a teacher labelled in the last tenth of the scored training; from its predictions alone.

    Attributes:
        batches: number of batches the means are over.
        confidence: share of the pixels that are labelled confidently.
        pasted: share of the pixels of mixed images that come from the source; None = nothing is mixed.
        class_share: share of the pixels that are labelled with a class, by its name.
        confident_share: share of a class's pixels that are confident; None = it was never seen.
    """

    batches: int
    confidence: float
    pasted: float | None
    class_share: dict[str, float]
    confident_share: dict[str, float | None]


class Snapshot(Part):
    """A snapshot of the scored training.

    Attributes:
        iterations: after how many it was taken.
        miou: its mean IoU on the ranked split, percent.
        label_free: by checkpoint rule, how good it looks without labels; higher is better.
    """

    iterations: int
    miou: float
    label_free: dict[str, float]


class StreamPart(Part):
    """The images of one condition in one round of a stream.

    Attributes:
        round: counted from 1.
        condition: empty where the stream has none.
        miou: mean IoU of the predictions made in it, percent; None = no pixel is labelled.
    """

    round: int
    condition: str
    images: int
    miou: float | None


class Stream(Part):
    """How a network fared that met the ranked split as a stream.

    Attributes:
        predictions: whether an image is predicted ``before`` or ``after`` the network has changed by it;
            ``unadapted`` = it does not change.
        parts: in the order of the stream.
        before: mean IoU of the network before the stream on the other splits, percent; their scores are of the
            network after it, which learns nothing from them. Empty if it does not change.
    """

    predictions: Literal["unadapted", "before", "after"]
    parts: list[StreamPart]
    before: dict[str, float]


class ShownSize(Part):
    """At which size a test shows images of a dataset, (width, height) in pixels.

    Attributes:
        stated: that of the dataset.
        shown: what an image of the stated size becomes, by the profile and the setting ``resolution``.
    """

    stated: tuple[int, int]
    shown: tuple[int, int]


class Record(Part):
    """Everything a report needs to know about a finished job.

    ``cost`` and ``environment`` describe the run and may differ between two runs of one job; every
    other field is equal bit for bit.
    """

    schema_version: int = SCHEMA_VERSION
    job_hash: str
    #: Equal for jobs that may be ranked against each other.
    ranking_hash: str
    #: What the ranking hash was made from, for the reader.
    ranking: dict[str, Any]
    #: Equal for jobs that differ by the seed alone; only these are averaged.
    group_hash: str
    method: str
    method_title: str
    method_version: int
    paper: str | None
    tags: list[str]
    #: True where target labels were used for training, by this job or by one it started from.
    oracle: bool
    #: True for a ``--limit`` run: never ranked.
    smoke: bool
    benchmark: str
    benchmark_title: str
    setting: str
    profile: str
    seed: int
    network: NetworkInfo
    iterations: int
    settings: dict[str, Any]
    #: ``published`` or ``transferred``: whether a paper states these settings for this pair.
    settings_origin: str
    #: Number format of the networks while they trained.
    precision: Precision = FLOAT32
    #: What became of --compile; None where it was not asked for.
    compilation: Compilation | None = None
    #: Parts in which they computed every batch of a step, one after the other.
    accumulate: int = Field(default=1, ge=1)
    #: Settings the user changed with --set (a subset of ``settings``, or of the generated world's).
    overrides: dict[str, Any]
    #: Per dataset: provenance and version of the data.
    data: dict[str, dict[str, Any]]
    #: At which size images are shown, per dataset; None in records of version 4.
    shown_sizes: dict[str, ShownSize] | None = None
    #: The first score is the ranked one.
    scores: list[Score] = Field(min_length=1)
    #: Splits whose mean is shown, too: all targets, or all unseen domains. None at all in records of version 3.
    averaged: list[str] = Field(default=[])
    #: None where nothing is pseudo-labelled, and in records of version 1.
    pseudo_labels: PseudoLabels | None = None
    #: Snapshots of the last training, in order; None where none were kept, and in records of version 2.
    snapshots: list[Snapshot] | None = None
    #: In the setting tta: what became of the network over the stream.
    stream: Stream | None = later(None)
    #: Averaged classes of the ranked split that no labelled source image shows, to a network that trains on it. None
    #: = not known here, and in records of version 4.
    unseen: list[str] | None = None
    #: sha256 of the scored weights.
    weights_sha256: str
    cost: Cost
    environment: dict[str, str]
    #: Who ran it: whoever keeps the results folder, or somebody else whose record was merged into it.
    origin: Literal["maintainer", "submitted"] = "maintainer"

    def covers(self, also: Collection[str]) -> bool:
        """Whether every split of ``also`` is scored, or cannot be scored here, as somebody else ran it."""
        return self.origin == "submitted" or {score.split for score in self.scores}.issuperset(also)


def folder_of(record: Record, out: Path) -> Path:
    """The folder of the job behind ``record``, in a results folder."""
    return job_folder(out, record.benchmark, record.method, record.seed, record.job_hash)


def save_record(record: Record, path: Path) -> None:
    """Writes ``record`` atomically."""
    documents.write(record, path)


def load_record(path: Path) -> Record:
    """Reads and validates a record as it was written; see `adaptbench.records.kept` for one that is shown."""
    return documents.read(Record, path, "a record", "Delete its folder to run the job again.")
