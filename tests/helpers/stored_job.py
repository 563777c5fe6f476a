"""A finished job as it lies on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.evaluation.metrics import score
from adaptbench.records.confusion_files import PerImageConfusion
from adaptbench.records.jobspec import DataSource, JobSpec, State, Status, job_folder, save_job, write_status
from adaptbench.records.record import Record, save_record

Maker = Callable[..., Record]


@dataclass
class StoredJob:
    """A job with everything that it leaves."""

    record: Record
    spec: JobSpec
    folder: Path

    def save(self, lines: list[int], done: bool = True) -> None:
        """What is there once the iterations in ``lines`` were logged."""
        stage = self.folder.parents[4] / "stages" / "train"
        stage.mkdir(parents=True, exist_ok=True)
        save_job(self.spec, self.folder)
        text = "".join(
            json.dumps({"iteration": i, "loss": 2.0 / (i + 1), "mix.loss": None, "share": [0.75, 0.25]})
            + "\n"
            for i in lines
        )
        (stage / "metrics.jsonl").write_text(text + '{"iteration": 99, "lo')  # a line that is being written
        (stage / "weights.safetensors").write_bytes(b"weights")
        link = self.folder / "stages" / "train"
        link.parent.mkdir(exist_ok=True)
        if not link.exists():
            link.symlink_to(stage)
        state = State.DONE if done else State.RUNNING
        write_status(self.folder, Status(state=state))
        if done:
            (self.folder / "metrics.jsonl").write_text(text)
            save_record(self.record, self.folder / "record.json")


@pytest.fixture
def job(record: Maker, tmp_path: Path) -> StoredJob:
    """A job on four images of Cityscapes whose data is there; nothing is written of the job but its results."""
    root = _city(tmp_path / "city")
    rng = np.random.default_rng(0)
    matrices = {f"frankfurt_000000_00000{i}": rng.integers(0, 50, (19, 19)) for i in range(4)}
    confusion = PerImageConfusion.collect(matrices)
    scored = score(
        confusion.total(), CITYSCAPES19, split="cityscapes/val", provenance="generated", images=len(matrices)
    )
    one = record("dacs", tags=("self-training",), scores=[scored], job_hash="0123456789abcdef")
    folder = job_folder(tmp_path / "out", one.benchmark, one.method, one.seed, one.job_hash)
    confusion.save(folder / "confusion" / "cityscapes-val.npz")
    predictions = folder / "pictures" / "cityscapes-val"
    predictions.mkdir(parents=True)
    Image.fromarray(np.full((8, 16), 10, np.uint8)).save(predictions / "frankfurt_000000_000001.png")
    source = DataSource(root=str(root), provenance="generated", version="1")
    spec = JobSpec(
        **one.model_dump(
            include={
                "job_hash",
                "group_hash",
                "ranking_hash",
                "ranking",
                "method",
                "profile",
                "seed",
                "settings",
                "settings_origin",
                "overrides",
            }
        ),
        benchmark="gta5_to_cityscapes",
        board=one.benchmark,
        limit=None,
        device="cpu",
        threads=1,
        data={"cityscapes": source},
        plugins=[],
    )
    return StoredJob(one, spec, folder)


def _city(root: Path) -> Path:
    """One image in the layout of Cityscapes; its lower half is road."""
    name = "frankfurt_000000_000001"
    image = root / "leftImg8bit/val/frankfurt" / f"{name}_leftImg8bit.png"
    label = root / "gtFine/val/frankfurt" / f"{name}_gtFine_labelIds.png"
    for path in (image, label):
        path.parent.mkdir(parents=True)
    Image.fromarray(np.full((8, 16, 3), 90, np.uint8)).save(image)
    ids = np.full((8, 16), 23, np.uint8)
    ids[4:] = 7
    Image.fromarray(ids).save(label)
    return root
