"""The verb ``compare``: what it shows, what it claims, and what it refuses."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mounts
import numpy as np
import pytest
from forks import in_fork
from stored_runs import CITIES, confusion

from adaptbench.cli import main
from adaptbench.evaluation import metrics
from adaptbench.records.confusion_files import PerImageConfusion, matrices_path
from adaptbench.records.record import Record, Score, save_record

Maker = Callable[..., Record]
Runner = Callable[..., str]
CLASSES = ("road", "car")
TAGS = tuple(
    {"condition": "fog" if number % 2 else "rain", "frame": name} for number, name in enumerate(CITIES)
)


@pytest.fixture
def run(record: Maker, tmp_path: Path) -> Callable[..., list[Record]]:
    """Puts finished seeds of a method with matrices of two classes into the output folder."""

    def make(
        method: str, percent: float, seeds: int = 5, split: str = "cityscapes/val", **fields: Any
    ) -> list[Record]:
        made = []
        for seed in range(seeds):
            kept = confusion(percent, seed)
            iou = dict(zip(CLASSES, map(float, 100 * metrics.iou(kept.total())), strict=True))
            one = Score(
                split=split,
                provenance="generated",
                class_set="two",
                images=len(CITIES),
                miou=sum(iou.values()) / 2,
                iou=iou,
                accuracy=90,
            )
            made.append(record(method, 0, seed, **({"scores": [one]} | fields)))
            path = matrices_path(tmp_path, made[-1], split)
            save_record(made[-1], path.parents[1] / "record.json")
            PerImageConfusion(kept.names, kept.matrices, TAGS).save(path)
        return made

    return make


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runner:
    """What ``compare`` prints: its answer, or its one paragraph of error."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str, status: int = 0) -> str:
        assert main(["compare", *arguments, "--out", str(tmp_path)]) == status
        printed = capsys.readouterr()
        return printed.err if status else printed.out

    return call


def lines(out: Path) -> dict[tuple[str, str], dict[str, str]]:
    (path,) = (out / "comparisons").glob("*.csv")
    return {(line["group"], line["name"]): line for line in csv.DictReader(path.read_text().splitlines())}


def test_two_methods(run: Maker, said: Runner, tmp_path: Path) -> None:
    dacs = run("dacs", 60)
    fada = run("fada", 50, settings={"learning_rate": 0.1}, environment={"torch": "2.14.0"})
    text = said("dacs", "fada")
    assert "Different: dacs is better than fada." in text
    assert "seeds 5 (0-4). Scored on 24 images of 3 places (two, cityscapes/val)." in text
    assert "A is ahead on 24 of 24" in text
    for fact in ("learning_rate", "2.14.0", "2.15.0", "dacs", "fada"):
        assert fact in text.split("What else differs")[1]
    found = lines(tmp_path)
    means = [np.mean([one.scores[0].miou for one in side]) for side in (dacs, fada)]
    overall = {
        key: float(number) for key, number in found["all", "mean IoU"].items() if key not in ("group", "name")
    }
    assert overall["difference"] == pytest.approx(means[0] - means[1], abs=1e-4)
    assert overall["low"] < overall["difference"] < overall["high"]
    road = [np.mean([one.scores[0].iou["road"] for one in side]) for side in (dacs, fada)]  # type: ignore[misc]
    assert float(found["class", "road"]["difference"]) == pytest.approx(road[0] - road[1], abs=1e-4)
    assert {key for key in found if key[0] == "condition"} == {
        ("condition", "fog (12 images)"),
        ("condition", "rain (12 images)"),
    }
    assert len([key for key in found if key[0] == "image"]) == 24
    assert not any(key[0] == "frame" for key in found)


def test_as_json(run: Maker, said: Runner, tmp_path: Path) -> None:
    dacs = run("dacs", 60)
    run("fada", 50, environment={"torch": "2.14.0"})
    found = json.loads(said("dacs", "fada", "--json"))
    assert found["conclusion"] == "Different: dacs is better than fada."
    assert found["a"] == {
        "label": "dacs",
        "benchmark": dacs[0].benchmark,
        "ranking_hash": dacs[0].ranking_hash,
        "group_hash": dacs[0].group_hash,
        "seeds": [0, 1, 2, 3, 4],
    }
    assert (found["class_set"], found["split"], found["images"], found["places"]) == (
        *("two", "cityscapes/val"),
        *(24, 3),
    )
    assert {"part": "environment", "key": "torch", "first": "2.15.0", "second": "2.14.0"} in found[
        "departures"
    ]
    written = lines(tmp_path)
    assert len(written) == len(found["scores"])
    for score in found["scores"]:
        line = written[score.pop("group"), score.pop("name")]
        for key, number in score.items():
            assert number == pytest.approx(float(line[key]), abs=1e-4) if line[key] else number is None


def test_the_same_method_twice_is_not_different(run: Maker, said: Runner) -> None:
    run("dacs", 50)
    run("fada", 50.01)
    assert "Different" not in said("dacs", "fada")


@pytest.mark.parametrize(
    ("seeds", "claim"),
    [
        (1, "The intervals hold for these checkpoints"),
        (2, "Fewer than 5 seeds of each: no winner is declared."),
    ],
)
def test_few_seeds_claim_nothing_about_methods(run: Maker, said: Runner, seeds: int, claim: str) -> None:
    run("dacs", 60)
    run("fada", 50, seeds)
    text = said("dacs", "fada")
    assert claim in text
    assert "is better" not in text
    assert ("all intervals are of these checkpoints" in text) == (seeds == 1)


def test_rows_and_runs_are_named_in_many_ways(run: Maker, said: Runner) -> None:
    plain = run("dacs", 60)[0]
    other = run("dacs", 55, overrides={"alpha": 0.5})[3]
    assert "A is dacs (alpha=0.5) on" in said("dacs (alpha=0.5)", plain.group_hash[:8])
    folder = f"somewhere/{other.seed}-{other.job_hash[:8]}/"
    assert "A is dacs seed 3 on" in said(folder, plain.job_hash[:12])


def test_a_method_with_several_rows_has_to_be_chosen_from(run: Maker, said: Runner) -> None:
    run("fada", 50)
    named = [one[0].group_hash[:8] for one in (run("dacs", 60), run("dacs", 55, overrides={"alpha": 0.5}))]
    text = said("dacs", "fada", status=2)
    assert "name more than two rows" in text
    assert all(f"{name} (dacs" in text for name in named)


def test_unknown_names_and_nothing_to_compare(run: Maker, said: Runner) -> None:
    assert "There is no finished run here" in said("dacs", "fada", status=2)
    run("dacs", 60)
    assert "Unknown method or run 'dasc'. Did you mean 'dacs'" in said("dacs", "dasc", status=2)
    assert "name the same runs" in said("dacs", "dacs", status=2)
    assert "Unknown benchmark with finished runs 'gta'" in said(
        "dacs", "dacs", "--benchmark", "gta", status=2
    )


def test_other_protocols_and_splits_are_refused(run: Maker, said: Runner) -> None:
    run("dacs", 60)
    run("fada", 50, ranking={"checkpoint": "best"})
    text = said("dacs", "fada", status=2)
    assert "were run under different protocols: checkpoint is best instead of last" in text
    page = said("dacs", "fada", "--any-protocol")
    assert "protocol" in page.split("What else differs")[1]
    run("minent", 50, split="camvid/val")
    assert "different splits cannot be compared" in said("dacs", "minent", status=2)


def test_missing_matrices_and_other_labels_are_named(run: Maker, said: Runner, tmp_path: Path) -> None:
    first, second = run("dacs", 60), run("fada", 50)
    path = matrices_path(tmp_path, second[4], "cityscapes/val")
    kept = PerImageConfusion.load(path)
    path.unlink()
    assert f"{path} is missing" in said("dacs", "fada", status=2).replace("\n", " ")
    PerImageConfusion(kept.names, kept.matrices + np.uint32(1)).save(path)
    assert "is of other images, or of other labels, than" in said("dacs", "fada", status=2)
    kept.save(path)
    for one in first:
        own = confusion(60, one.seed)
        renamed = PerImageConfusion(tuple(f"x{name}" for name in own.names), own.matrices)
        renamed.save(matrices_path(tmp_path, one, "cityscapes/val"))
    assert "were scored on other images" in said("dacs", "fada", status=2)


@pytest.mark.skipif(bool(mounts.refused()), reason=mounts.refused())
def test_results_that_may_only_be_read(run: Maker, said: Runner, tmp_path: Path) -> None:
    run("dacs", 60)
    run("fada", 50)
    in_fork(_compare_read_only, said, tmp_path)


def _compare_read_only(said: Runner, out: Path) -> None:
    mounts.own_mounts()
    mounts.read_only(out)
    text = said("dacs", "fada")
    assert "Different: dacs is better than fada." in text
    assert f"Cannot write {out}/comparisons/" in text and "Read-only file system" in text
