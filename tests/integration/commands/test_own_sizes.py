"""Own images of odd sizes through the command: trained, scored and predicted, or refused before the first iteration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from forks import fork_jobs
from PIL import Image

DESCRIPTION = """\
dataset: {name}
size: [{width}, {height}]
classes: [background, target]
labels: {{ids: {{0: background, 1: target}}}}
splits:
  train: {{images: "a/img/*.png", labels: "a/mask/{{stem}}.png"}}
  target: {{images: "b/img/*.png"}}
  val: {{images: "v/img/*.png", labels: "v/mask/{{stem}}.png"}}
"""
PROBLEM = """\
benchmark: {name}_ab
class_set: {name}
datasets: [d.yaml]
source: [{name}/train]
target: [{name}/target]
evaluation: [{name}/val]
"""
Call = Callable[..., str]


def own(root: Path, width: int, height: int) -> Path:
    """Images with a red rectangle that is to be found; the file of the benchmark."""
    rng = np.random.default_rng(0)
    for split in "abv":
        for number in range(2):
            mask = np.zeros((height, width), np.uint8)
            mask[: height // 2 + 1, : width // 2 + number] = 1
            image = rng.integers(0, 255, (height, width, 3), np.uint8)
            image[mask > 0] = (230, 30, 30)
            for kind, pixels in (("img", image), ("mask", mask)):
                path = root / split / kind / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    facts = {"name": f"own{width}x{height}", "width": width, "height": height}
    (root / "d.yaml").write_text(DESCRIPTION.format(**facts))
    (root / "b.yaml").write_text(PROBLEM.format(**facts))
    return root / "b.yaml"


@pytest.fixture(autouse=True)
def forked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))
    fork_jobs(monkeypatch)


def asked(file: Path, *methods: str) -> tuple[object, ...]:
    return ("--methods", *methods, "--benchmarks", file, "--limit", "1", "--device", "cpu", "--jobs", "1")


def test_hrda_and_mic_on_sides_that_are_no_multiples(call: Call, tmp_path: Path, out: Path) -> None:
    """Trained and scored, scored again and predicted; the record says at which size it was."""
    file = own(tmp_path / "own", 333, 500)
    call(*asked(file, "hrda", "mic"), "--set", "crop=128", "detail_crop=64")
    records = {path: json.loads(path.read_text()) for path in out.rglob("record.json")}
    assert {record["method"] for record in records.values()} == {"hrda", "mic"}
    for record in records.values():
        assert record["shown_sizes"] == {"own333x500": {"stated": [333, 500], "shown": [167, 250]}}
    path = next(path for path, record in records.items() if record["method"] == "hrda")
    call("evaluate", path.parent, "--plugins", file, "--device", "cpu", "--data", "official")
    call(
        "predict",
        path.parent,
        "--images",
        tmp_path / "own" / "v" / "img",
        "--plugins",
        file,
        "--device",
        "cpu",
    )
    predicted = sorted((out / "predictions").rglob("train_ids/*.png"))
    assert [Image.open(one).size for one in predicted] == [(333, 500)] * 2


def test_what_is_too_small_is_refused_before_the_first_iteration(
    call: Call, tmp_path: Path, out: Path
) -> None:
    file = own(tmp_path / "own", 20, 12)
    methods = ("daformer", "mic", "minent", "source_only")
    call(
        *asked(file, *methods),
        "--set",
        "daformer.rare_class_sampling=false",
        "mic.rare_class_sampling=false",
        status=1,
    )
    states = {path.parent.parent.name: json.loads(path.read_text()) for path in out.rglob("status")}
    assert {name for name, state in states.items() if state["state"] == "done"} == {"daformer", "source_only"}
    assert "on images or crops of 5x3 pixels: it needs sides of at least 9." in states["minent"]["reason"]
    assert "images of 20x12 pixels" in states["mic"]["reason"]
    assert "at least 17x69 pixels" in states["mic"]["reason"]
    trained = {
        path.relative_to(out / "runs" / "own20x12_ab").parts[0] for path in out.glob("runs/**/metrics.jsonl")
    }
    assert trained == {"daformer", "source_only"}


@pytest.mark.parametrize(
    ("method", "settings", "reason"),
    [
        ("hrda", ("crop=100", "detail_crop=48"), "crops of 100x100 pixels with a detail of 48x48"),
        (
            "hrda_dg",
            ("crop=40", "detail_crop=32", "network=daformer-mini"),
            "crop to at least 64, and detail_crop to at least 32",
        ),
        (
            "daformer",
            ("crop=16", "network=daformer-mini"),
            "crops of 16x16 pixels: it needs sides of at least 29",
        ),
    ],
)
def test_crops_without_a_grid_are_refused(
    method: str, settings: tuple[str, ...], reason: str, call: Call, tmp_path: Path, out: Path
) -> None:
    call(*asked(own(tmp_path / "own", 333, 500), method), "--set", *settings, status=1)
    (status,) = out.rglob("status")
    assert reason in json.loads(status.read_text())["reason"]


def test_a_plan_says_at_which_size_own_images_are_shown(call: Call, tmp_path: Path) -> None:
    file = own(tmp_path / "own", 333, 500)
    said = " ".join(call(*asked(file, "hrda", "dacs"), "--dry-run").split())
    assert "own333x500: the file states a size of 333x500" in said
    assert (
        "profile mini shows networks 83x125 (dacs) and 167x250 (hrda): it takes 0.25 of all lengths" in said
    )
    assert "the file states" not in call(
        *asked(file, "dacs"), "--dry-run", "--profile", "paper", "--set", "pretraining=none"
    )
