"""Event files are written by torch and read back by TensorBoard."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stored_job import StoredJob
from tensorboard.backend.event_processing import event_accumulator as reader

from adaptbench.errors import UsageError
from adaptbench.tracking.tensorboard_runs import TensorboardTracker
from adaptbench.tracking.upload import upload


def read(folder: Path) -> Any:
    found = reader.EventAccumulator(str(folder), size_guidance={reader.SCALARS: 0, reader.IMAGES: 0})
    return found.Reload()


def test_event_files_hold_curves_scores_and_images(job: StoredJob, tmp_path: Path) -> None:
    for lines in ([0], [0, 10, 20]):  # the second time replaces the first
        job.save(lines)
        upload([job.record], tmp_path / "out", TensorboardTracker(tmp_path / "out"))
    events = read(tmp_path / "out/tensorboard" / job.folder.relative_to(tmp_path / "out/runs"))
    loss = {event.step: event.value for event in events.Scalars("train/loss")}
    assert loss == pytest.approx({0: 2.0, 10: 2.0 / 11, 20: 2.0 / 21})
    (miou,) = events.Scalars("cityscapes19/cityscapes/val/mIoU")
    assert (miou.step, miou.value) == (20, pytest.approx(job.record.scores[0].miou, rel=1e-6))
    (strip,) = events.Images("cityscapes/val/frankfurt_000000_000001")
    pixels = np.asarray(Image.open(io.BytesIO(strip.encoded_image_string)))
    assert pixels.shape == (8, 3 * 16 + 2 * 4, 3)
    assert pixels[0, 0].tolist() == [90, 90, 90]
    assert pixels[7, 20].tolist() == [128, 64, 128]  # true road
    assert pixels[0, 40].tolist() == [70, 130, 180]  # predicted sky
    assert len(events.Images("confusion/cityscapes/val")) == 1
    assert (
        job.record.ranking_hash.encode()
        in events.Tensors("config/text_summary")[0].tensor_proto.string_val[0]
    )
    board = read(tmp_path / "out/tensorboard/leaderboard").Tags()["tensors"]
    assert board == [f"minicity/gta5_to_cityscapes/{job.record.ranking_hash[:8]}/text_summary"]


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'adaptbench\[tensorboard\]'"):
        TensorboardTracker(tmp_path)
