"""What is trained on is never scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adaptbench.errors import DataError
from adaptbench.execution import job_context
from adaptbench.execution.stages.data import training_data
from adaptbench.execution.stages.planned import plan_stages
from adaptbench.planning.plan import make_plan
from adaptbench.planning.request import Request
from adaptbench.records.jobspec import save_job

TOWN = """\
dataset: town
size: [64, 32]
classes: [road, sky]
labels: {ids: {0: road, 1: sky}}
splits:
  train: {images: "PATTERN", labels: "masks/{parent}/{stem}.png"}
  target: {images: "images/there/*.png"}
  val: {images: "images/there/*.png", labels: "masks/there/{stem}.png"}
  more: {images: "images/far/*.png", labels: "masks/far/{stem}.png"}
"""
TOWNS = """\
benchmark: here_to_there
class_set: town
datasets: [town.yaml]
source: [town/train]
target: [town/target]
evaluation: [town/val]
"""


def begun(method: str, pattern: str, folder: Path, sources: str = "town/train") -> int:
    """Number of labelled images with which the training of a job begins."""
    for kind, place in ((k, p) for k in ("images", "masks") for p in ("here", "there", "far")):
        (folder / kind / place).mkdir(parents=True)
        shape = (32, 64, 3) if kind == "images" else (32, 64)
        for number in range(2):
            Image.fromarray(np.zeros(shape, np.uint8)).save(folder / kind / place / f"{number}.png")
    (folder / "town.yaml").write_text(TOWN.replace("PATTERN", pattern))
    (folder / "towns.yaml").write_text(TOWNS.replace("town/train", sources))
    (job,) = make_plan(
        Request((method,), ("here_to_there",), plugins=(folder / "towns.yaml",), out=folder, device="cpu")
    ).jobs
    save_job(job.spec, job.folder)
    context = job_context.open_job_context(job.spec, job.folder)
    return len(training_data(context, plan_stages(context)[0].stage)[0])


def test_images_that_are_trained_on_and_scored_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 of 2 images of town/val, which is scored, .*there/0.png"):
        begun("source_only", "images/*/*.png", tmp_path)


def test_others_are_trained_on(tmp_path: Path) -> None:
    assert begun("source_only", "images/here/*.png", tmp_path) == 2


def test_every_image_of_several_sources_is_trained_on(tmp_path: Path) -> None:
    assert begun("source_only", "images/here/*.png", tmp_path, "town/train, town/more") == 4
